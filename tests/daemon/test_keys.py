"""Beyond loopback nobody comes in without a key, and who is not let in is told why, and told of.

127.0.0.2 stands for an address that other machines can reach: the daemon takes only 127.0.0.1 for loopback.
"""

import json
import subprocess
from contextlib import closing

import pytest
import zmq
from click.testing import CliRunner
from daemon_process import DAEMON, Results, command, free_ports, posix, simulated, wait_until, within, write_config

from daemon.config import load
from daemon.control.client import ControlClient, ask
from daemon.health import Health
from daemon.keys.allow_list import MAX_REASONS, AllowList
from daemon.keys.command import keys
from daemon.keys.store import Keyring, write
from daemon.keys.zap_authenticator import REFUSALS, ZapAuthenticator
from daemon.protocol.key_file import KeyFile, load_key_file
from daemon.service import Service
from daemon.transport.client_socket import Connection, new_pair
from daemon.transport.server_socket import ServerSocket
from selfstorm.errors import InputError

ADDRESS = "tcp://127.0.0.2:5711"


@pytest.fixture
def ring(tmp_path):
    """A keyring with the daemon's own pair, and nobody admitted."""
    one = Keyring(tmp_path / "ring")
    one.make_pair()
    return one


def key_of(ring, name, role=None):
    """A key made for this daemon, admitted where a role is given."""
    public, secret = new_pair()
    if role is not None:
        ring.allow(name, public, role)
    return KeyFile(name=name, public=public, secret=secret, server=ring.pair().public)


def refusal(endpoint, key, verb="status"):
    with pytest.raises(InputError) as caught:
        ask(endpoint, verb, key=key, timeout_ms=15_000)
    return str(caught.value)


def kept(folder, key):
    """The path of a key's file."""
    write(folder / f"{key.name}.key", key)
    return folder / f"{key.name}.key"


def watch_once(daemon, *words):
    return command([*DAEMON, "watch", "--once", "--daemon", daemon.address, *words])


def test_a_daemon_lets_in_whom_it_knows_and_tells_the_others_why(start, ring, tmp_path):
    laptop, boss = key_of(ring, "laptop", "view"), key_of(ring, "boss", "control")
    daemon = start(simulated(), ring=ring)
    stranger, elsewhere = key_of(ring, "stranger"), boss.model_copy(update={"server": new_pair()[0]})
    with Results(daemon.results, boss) as seen, Results(daemon.results, None) as shut_out:
        wait_until(seen.has("status", "sr.refined"))
        assert ask(daemon.control, "status", 10_000, laptop)["version"]
        assert [ask(daemon.control, "info", 10_000, key)["role"] for key in (laptop, boss)] == ["view", "control"]
        assert "may watch but not control" in refusal(daemon.control, laptop, "stop")
        assert "the daemon needs a key: --key NAME.key" in refusal(daemon.control, None)
        assert "the daemon refused this key: it is not allowed there, or was revoked" in refusal(
            daemon.control, stranger
        )
        assert "not the one that this key was made for" in refusal(daemon.control, elsewhere)
        wait_until(lambda: "needs a key" in shut_out.fault)
        assert shut_out.all == []
        watched_without, watched = (watch_once(daemon, *words) for words in ((), ("--key", kept(tmp_path, laptop))))
        assert (watched_without.returncode, watched_without.stderr.count("\n")) == (1, 1)
        assert "the daemon needs a key: --key NAME.key" in watched_without.stderr
        assert watched.returncode == 0, watched.stderr
        assert "simulate:" in watched.stdout

        def all_told():
            told = " / ".join(event.text for event in seen.events("key_refused"))
            wanted = ("laptop tried to control", f"key {stranger.public[:6]}... from 127.0.0.", "without a key")
            return all(one in told for one in wanted)

        wait_until(all_told)
        assert stranger.public not in daemon.err
    assert ask(daemon.control, "status", 10_000, boss)["state"] == "running", "the refused stop stopped nothing"
    ask(daemon.control, "stop", 10_000, boss)
    assert daemon.exit_code() == 0


def test_who_is_revoked_while_connected_hears_nothing_more_and_may_come_back(start, ring):
    laptop, boss = key_of(ring, "laptop", "control"), key_of(ring, "boss", "view")
    daemon = start(simulated(), ring=ring)
    with (
        Results(daemon.results, laptop) as gone,
        Results(daemon.results, boss) as stays,
        ControlClient(daemon.control, 10_000, laptop) as asker,
    ):
        wait_until(gone.has("status"))
        wait_until(stays.has("status"))
        assert asker.ask("status")
        ring.revoke("laptop")
        wait_until(lambda: "was revoked" in gone.fault)
        with pytest.raises(InputError, match="the daemon refused: this key was revoked"):
            asker.ask("stop")
        heard = len(gone.all)
        stays.more("status", 3)
        assert len(gone.all) == heard
        ring.allow("laptop", laptop.public, "view")
        gone.more("status", 1)
        wait_until(lambda: gone.fault == "")
        with pytest.raises(InputError, match="may watch but not control"):
            asker.ask("stop")
    wait_until(lambda: daemon.status().state == "running")  # the refused stop stopped nothing


def test_frames_go_to_the_daemon_that_has_a_key(start, ring, tmp_path):
    [port] = free_ports(1)
    key = key_of(ring, "gpu")
    write(tmp_path / "gpu.key", key)
    line = [*DAEMON, "publish", write_config(tmp_path / "camera.toml", simulated()), "--keyring", ring.folder]
    ring.allow("somebody", new_pair()[0], "view")
    source = {"source": {"uri": f"zmq:127.0.0.2:{port}", "key": "gpu.key"}}
    line = [str(word) for word in [*line, "--bind", f"tcp://127.0.0.2:{port}"]]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as publishing:
        try:
            assert publishing.stdout.readline().endswith(f" on tcp://127.0.0.2:{port}\n")
            daemon = start(simulated(record="raw") | source)

            def shut_out():
                return "the daemon refused this key" in daemon.status().detail

            wait_until(shut_out)
            assert daemon.status().frames.received == 0
            ring.allow("gpu", key.public, "view")
            status = daemon.published(2)
            assert (status.frames.missing, status.refused) == (0, {})
            wait_until(lambda: daemon.status().recorded_frames > 0)
            ring.revoke("gpu")
            wait_until(shut_out)
            received = daemon.status().frames.received
        finally:
            publishing.terminate()
            said = publishing.communicate()[1]
    assert daemon.status().frames.received == received
    assert f"key_refused: key {key.public[:6]}... from 127.0.0." in said
    assert "key_refused: " in daemon.err


@pytest.mark.parametrize("which", ["results", "control"])
def test_a_public_address_without_keys_is_refused_at_start(tmp_path, which):
    [port] = free_ports(1)
    server = {which: f"tcp://0.0.0.0:{port}", "keys": "ring"}
    config = load(write_config(tmp_path / "daemon.toml", simulated(server=server, save="sr.ome.tif")), {})
    lacks = rf"0\.0\.0\.0:{port}: other machines can reach this address, but the daemon has no key; make a key for "
    with pytest.raises(InputError, match=lacks + r"each client: selfstorm-daemon keys new NAME --keyring .*ring"):
        Service(config)
    Keyring(tmp_path / "ring").make_pair()
    with pytest.raises(InputError, match="but no client is allowed; make a key"):
        Service(config)
    with pytest.raises(InputError, match="there are no keys"):
        ServerSocket("results", Health(run="run"), server[which], zmq.XPUB, {}, lambda socket: None)
    assert {path.name for path in tmp_path.iterdir()} == {"daemon.toml", "ring"}


def test_publishing_to_other_machines_without_keys_is_one_line(tmp_path, capfd):
    line = [*DAEMON, "publish", "simulate:", "--bind", "tcp://0.0.0.0:5710", "--keyring", tmp_path]
    outcome = within(line, capfd)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (2, 1)
    assert "selfstorm-daemon keys new NAME" in outcome.stderr


def test_while_nobody_stands_at_the_door_nobody_comes_in(ring):
    key = key_of(ring, "laptop", "view")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server, context.socket(zmq.DEALER) as client:
        server.linger = client.linger = 0
        ZapAuthenticator(context, AllowList(ring, ADDRESS, lambda why: None)).guard(server)
        with context.socket(zmq.PAIR) as refused:
            refused.connect(REFUSALS)
            port = server.bind_to_random_port("tcp://127.0.0.1")
            with closing(Connection(client, f"tcp://127.0.0.1:{port}", key)) as connection:
                client.send(b"let me in")
                assert refused.poll(20_000)
                connection.poll(0)
            assert not server.poll(0)


def test_the_keyring_is_read_again_and_one_that_is_damaged_lets_nobody_in(ring):
    told = []
    laptop = key_of(ring, "laptop", "view")
    guests = AllowList(ring, ADDRESS, told.append)
    assert guests.of(laptop.public).role == "view"
    ring.allowed_path.write_text("{")
    assert guests.of(laptop.public) is None
    assert guests.of(laptop.public) is None
    assert len(told) == 1
    assert "allowed.json: is damaged" in told[0]
    ring.allowed_path.unlink()
    assert guests.of(laptop.public) is None
    ring.allow("laptop", laptop.public, "control")
    assert guests.of(laptop.public).role == "control"
    assert guests.of(ring.pair().public).role == "control", "the daemon's own user"


def test_however_many_are_refused_few_are_told(ring):
    told = []
    key_of(ring, "laptop", "view")
    guests = AllowList(ring, ADDRESS, told.append)
    for number in range(1000):
        guests.refuse("the same")
        guests.refuse(f"another {number}")
    assert [line for line in told if "same" in line][1:] == [f"the same ({n} times so far)" for n in (10, 100, 1000)]
    assert len(told) < MAX_REASONS + 10


PUBLIC, SECRET = new_pair()
DAMAGED = {
    "daemon.json: is damaged": ("daemon.json", "{"),
    "daemon.json: is damaged (secret": ("daemon.json", json.dumps({"public": PUBLIC, "secret": SECRET[:-1]})),
    "daemon.json: is damaged (public and secret": ("daemon.json", json.dumps({"public": PUBLIC, "secret": PUBLIC})),
    "daemon.json: has more than": ("daemon.json", " " * 2**21),
    "allowed.json: is damaged (keys.0.role": (
        "allowed.json",
        json.dumps({"keys": [{"name": "a", "public": PUBLIC, "role": "king", "since_unix": 0}]}),
    ),
    "allowed.json: is damaged (keys.0.name": (
        "allowed.json",
        json.dumps({"keys": [{"name": "../a", "public": PUBLIC, "role": "view", "since_unix": 0}]}),
    ),
    "allowed.json: is damaged (keys.0.public: the key does not decode": (
        "allowed.json",
        json.dumps({"keys": [{"name": "a", "public": "#" * 40, "role": "view", "since_unix": 0}]}),
    ),
    "allowed.json: is damaged (a name occurs twice": (
        "allowed.json",
        json.dumps(
            {"keys": [{"name": "a", "public": one, "role": "view", "since_unix": 0} for one in (PUBLIC, SECRET)]}
        ),
    ),
    "allowed.json: is damaged (invalid JSON": ("allowed.json", "[" * 100_000),
}


@pytest.mark.parametrize("said", DAMAGED)
def test_a_damaged_keyring_is_said_in_one_sentence_without_its_secret(ring, said):
    name, text = DAMAGED[said]
    (ring.folder / name).write_text(text)
    outcome = CliRunner().invoke(keys, ["list", "--keyring", str(ring.folder)])
    assert isinstance(outcome.exception, InputError)
    assert said in str(outcome.exception)
    assert SECRET[:10] not in str(outcome.exception)


def test_a_damaged_key_file_is_said_in_one_sentence(ring, tmp_path):
    path = tmp_path / "a.key"
    good = key_of(ring, "a").model_dump()
    for wrong, said in (
        (good | {"version": 2}, "version"),
        (good | {"secret": "x"}, "secret: a key is 40 characters of Z85"),
        (good | {"secret": PUBLIC}, "public and secret key are not a pair"),
        ({}, "name"),
    ):
        path.write_text(json.dumps(wrong))
        assert f"a.key: is damaged ({said}" in refusal(ADDRESS, path)
    path.unlink()
    assert "a.key: cannot be read" in refusal(ADDRESS, path)


@posix
def test_files_are_for_their_owner_alone_and_never_half_written(ring, monkeypatch):
    key_of(ring, "laptop", "view")
    assert {path.stat().st_mode & 0o777 for path in ring.folder.iterdir()} == {0o600}
    before = ring.allowed_path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"allowed\.json: cannot be written \(No space left on device\)"):
        key_of(ring, "other", "view")
    assert ring.allowed_path.read_bytes() == before
    assert len(list(ring.folder.iterdir())) == 2


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(words): what `keys` prints, in a folder of its own; or the sentence it refuses with."""
    monkeypatch.chdir(tmp_path)

    def run_one(*words, ring="ring"):
        outcome = CliRunner().invoke(keys, [words[0], "--keyring", ring, *words[1:]])
        if outcome.exception is not None and not isinstance(outcome.exception, InputError):
            raise outcome.exception
        return str(outcome.exception or outcome.output)

    return run_one


def test_the_commands_make_admit_list_and_revoke(run, tmp_path):
    said = run("new", "laptop")
    assert "with laptop.key laptop may watch: copy it" in said
    assert "selfstorm-viewer --daemon THIS-PC --key laptop.key" in said
    assert "with boss.key boss may watch and control" in run("new", "boss", "--control")
    made = load_key_file(tmp_path / "laptop.key")
    assert made.server == Keyring(tmp_path / "ring").pair().public
    first, _, *rows = run("list").splitlines()
    assert first == f"the daemon's public key: {made.server}"
    assert [row.split()[:2] for row in rows] == [["laptop", "view"], ["boss", "control"]]
    assert rows[0].endswith(made.public)
    assert run("revoke", "laptop") == "laptop is no longer allowed\n"
    assert "no client has this name; allowed: boss" in run("revoke", "laptop")
    assert [one.name for one in Keyring(tmp_path / "ring").allowed()] == ["boss"]


def test_a_key_made_where_it_is_used_is_allowed_with_the_line_it_prints(run, tmp_path):
    server = run("list").split()[-5]
    there = run("new", "laptop", "--server-key", server, "--control", ring="elsewhere")
    made = load_key_file(tmp_path / "laptop.key")
    assert made.server == server
    assert made.secret not in there
    assert there.splitlines()[-1] == f'    selfstorm-daemon keys allow --control -- laptop "{made.public}"'
    assert not (tmp_path / "elsewhere").exists()
    assert run("allow", "--control", "--", "laptop", made.public) == "laptop may watch and control\n"
    assert [one.public for one in Keyring(tmp_path / "ring").allowed()] == [made.public]


def test_mistakes_with_keys_are_said(run, tmp_path):
    run("new", "laptop")
    before = (tmp_path / "laptop.key").read_bytes()
    assert "laptop: this name is taken; choose another, or first: selfstorm-daemon keys revoke laptop" in run(
        "new", "laptop", "-o", "other.key"
    )
    run("revoke", "laptop")
    assert "laptop.key: exists already; name another file with -o" in run("new", "laptop")
    assert (tmp_path / "laptop.key").read_bytes() == before
    assert Keyring(tmp_path / "ring").allowed() == (), "no client is allowed with a key that was not written"
    assert "is not a name" in run("new", "../laptop")
    assert "is not a public key" in run("allow", "laptop", "x" * 39)
    assert "choose another" in run("new", "this-machine")
    run("allow", "--", "laptop", load_key_file(tmp_path / "laptop.key").public)
    assert "allowed already, as 'laptop'" in run("allow", "--", "b", load_key_file(tmp_path / "laptop.key").public)
