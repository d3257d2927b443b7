"""A Micro-Manager that is not there: its bridge's protocol 5.1.0 over ZeroMQ, for the unmodified pycromanager.

The main port answers `connect`, `get-constructors` and `constructor`, which opens a port of its own for the new core;
there `run-method`, `get-field` and `destructor` work as in Micro-Manager: what is no number, string, array or JSON
goes out as a handle with its interface described, an error comes back as {"type": "exception"}. The core has one live
mode and one circular buffer; every pixel of frame k is k, so a frame that is mixed up shows.

All commands that came are kept in `calls`: a test sees what was done to the microscope. Faults come on order: calls
that are answered late or never, a Micro-Manager that dies or loses its objects, a buffer that is emptied, numbers that
begin again, frames lost inside the camera.
"""

import itertools
import json
import struct
import threading
import uuid

import numpy as np
import zmq
from emulated_camera import Camera
from emulated_interfaces import API, CONFIG, CORE, FIELDS, IMAGE, OWNER_ONLY, RECTANGLE, SETTING, STUDIO, Studio

VERSION = "5.1.0"


class BridgeEmulator:
    """The server: a thread a port, all of them gone when the context is left. `camera` is changed under `lock`."""

    def __init__(self, port=0):
        self.camera, self.lock, self.calls = Camera(), threading.Lock(), []
        self._halt, self._threads = threading.Event(), []
        self._objects = {}
        self._fault = None
        self.studio = None  # Micro-Manager's window; None where there is none, as in a headless one
        self.faults = 0  # so many calls of methods fail from now on; all objects stay
        self.delay_s = 0.0  # of every answer
        self._going = threading.Event()
        self._going.set()
        self._context = zmq.Context()
        try:
            self.port = self._serve(port)
        except zmq.ZMQError:
            self._context.term()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._halt.set()
        for thread in self._threads:
            thread.join()
        self._context.term()

    def stall(self):
        """From now on no call is answered, until it goes on; if it dies before, they never are."""
        self._going.clear()

    def go_on(self):
        self._going.set()

    @property
    def handles(self):
        """How many objects clients hold."""
        return len(self._objects)

    @property
    def connections(self):
        """Count the ports that are open for clients, without the main one."""
        return sum(thread.is_alive() for thread in self._threads) - 1

    def fail(self, what):
        """From now on every call to objects handed out so far fails: a Micro-Manager that was restarted."""
        with self.lock:
            self._objects.clear()
            self._fault = what

    def _serve(self, port=0, theirs=None):
        """A server on a port of its own. theirs: the handles given out with it; it ends when the last is given back."""
        mine = set() if theirs is None else theirs
        bound, ports = threading.Event(), []

        def serve():  # the socket is made, used and closed in this thread
            with self._context.socket(zmq.REP) as socket:
                socket.linger = 0
                try:
                    socket.bind(f"tcp://127.0.0.1:{port or '*'}")
                    ports.append(int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
                except zmq.ZMQError as error:
                    ports.append(error)
                    return
                finally:
                    bound.set()
                while not self._halt.is_set():
                    if socket.poll(20):
                        request = json.loads(socket.recv_multipart()[0].decode("iso-8859-1"))
                        thing = self._objects.get(request.get("hash-code"))
                        if isinstance(thing, Studio) and thing.slow:
                            thing.asked = True
                            self._halt.wait()
                            return
                        self._halt.wait(self.delay_s)
                        while not self._going.wait(0.02):
                            if self._halt.is_set():
                                return
                        socket.send_multipart(self._answer(request, mine))
                        if theirs is not None and not mine:
                            return

        thread = threading.Thread(target=serve, name="bridge emulator")
        thread.start()
        bound.wait()
        if isinstance(ports[0], Exception):
            thread.join()
            raise ports[0]
        self._threads.append(thread)
        return ports[0]

    def _answer(self, request, mine):
        """The reply's parts: JSON, then hash and bytes of the array where there is one."""
        with self.lock:
            self.calls.append(request.get("name", request["command"]))
            try:
                reply = self._reply(request, mine)
            except RuntimeError as error:
                reply = {"type": "exception", "value": str(error)}
        arrays = []
        if isinstance(reply.get("value"), np.ndarray):
            key = next(self._keys)
            arrays = [struct.pack("=I", key), reply["value"].tobytes()]
            reply["value"] = f"@{key:x}"
        return [json.dumps(reply).encode("iso-8859-1"), *arrays]

    _keys = itertools.count(0x7FFFFFF0)  # beyond 2**31: Java's hashes are signed, the wire's are not

    def _reply(self, request, mine):
        match request["command"]:
            case "connect":
                return {"type": "none", "version": VERSION}
            case "get-constructors":
                names = [CORE, *([STUDIO] if self.studio else [])]
                return {"type": "none", "api": [{"name": name, "arguments": []} for name in names]}
            case "constructor":
                thing = self.studio if request["classpath"] == STUDIO else self.camera
                if not request.get("new-port"):
                    return self._handle(request["classpath"], thing, mine)
                theirs = set()
                reply = self._handle(request["classpath"], thing, theirs)
                reply["port"] = self._serve(theirs=theirs)
                return reply
            case "destructor":
                self._objects.pop(request["hash-code"], None)
                mine.discard(request["hash-code"])
                return {"type": "none"}
        if request["hash-code"] not in self._objects:
            raise RuntimeError(f"java.lang.NullPointerException: {self._fault or 'no such object'}")
        thing = self._objects[request["hash-code"]]
        if self.faults and request["command"] == "run-method":
            self.faults -= 1
            raise RuntimeError("java.lang.Exception: device is busy")
        if request["command"] == "get-field":
            value = thing[request["name"]]
            if isinstance(value, dict):
                return {"type": "object", "class": "JSONObject", "value": json.dumps(value)}
            if not isinstance(value, np.ndarray):
                return {"type": "primitive", "value": value}
            return {"type": "byte-array" if value.dtype == np.uint8 else "short-array", "value": value}
        if thing is not self.camera:
            return self._ask(thing, request["name"], request["arguments"], mine)
        if request["name"] in OWNER_ONLY:
            return self._command(request["name"], request["arguments"], mine)
        return self._call(request["name"], request["arguments"], mine)

    def _ask(self, thing, name, arguments, mine):
        """A configuration, or a setting in it; or the window, its acquisitions and their settings."""
        if isinstance(thing, Studio):
            return thing.answer(name, lambda kind: self._handle(kind, thing, mine))
        match name:
            case "size":
                return {"type": "primitive", "value": len(thing)}
            case "getSetting":
                return self._handle(SETTING, thing[arguments[0]], mine)
            case "getDeviceLabel":
                return {"type": "string", "value": thing[0]}
        return {"type": "string", "value": thing[1]}

    def _command(self, name, arguments, mine):
        """What only the owner of an acquisition may do."""
        camera, value = self.camera, None
        if not camera.owned:
            raise RuntimeError(f"java.lang.Exception: {name} is not for us to call")
        match name, arguments:
            case "popNextTaggedImage", _:
                return self._handle(IMAGE, camera.tagged(*camera.buffer.popleft()), mine)
            case "startSequenceAcquisition", (count, _, _):
                camera.start()
                camera.to_come = count
            case "stopSequenceAcquisition", _:
                camera.live, camera.to_come = False, 0
            case "setExposure", (exposure_ms,):
                camera.exposure_ms = exposure_ms
            case "getProperty", key:
                return {"type": "string", "value": camera.properties[tuple(key)]}
            case "setProperty", (device, label, _) if (device, label) not in camera.properties:
                raise RuntimeError(f'java.lang.Exception: Cannot set property "{label}" of device "{device}"')
            case "setProperty", (device, label, value_set):
                camera.properties[device, label] = value_set
            case "hasProperty", key:
                value = tuple(key) in camera.properties
            case "isConfigDefined", key:
                value = tuple(key) in camera.presets
            case "getConfigData", key:
                return self._handle(CONFIG, list(camera.presets[tuple(key)]), mine)
            case "setConfig", key:
                camera.properties.update(camera.presets[tuple(key)])
            case "getROI", _:
                x, y, _, _ = map(int, camera.roi.split("-"))
                return self._handle(RECTANGLE, {"x": x, "y": y}, mine)
            case "getImageWidth", _:
                value = camera.width
            case "getImageHeight", _:
                value = camera.height
            case "getBytesPerPixel", _:
                value = 1 if camera.pixel_type == "GRAY8" else 2
            case "getNumberOfComponents", _:
                value = 1
        return {"type": "none"} if value is None else {"type": "primitive", "value": value}

    def _call(self, name, arguments, mine):
        camera = self.camera
        match name:
            case "getNBeforeLastTaggedImage":
                return self._handle(IMAGE, camera.tagged_image(arguments[0]), mine)
            case "isSequenceRunning":
                if camera.last_words:
                    camera.shoot(camera.last_words)
                    camera.last_words, camera.live = 0, False
                camera.asked()
                value = camera.live
            case "getRemainingImageCount":
                camera.asked()
                value = len(camera.buffer)
            case "getImageBufferSize":
                value = camera.image_bytes + camera.padding
            case "getBufferTotalCapacity":
                value = camera.capacity
            case "getCircularBufferMemoryFootprint":
                return {"type": "primitive", "value": camera.buffer_bytes / 2**20}
            case "getCameraDevice":
                return {"type": "string", "value": camera.label}
            case "getDeviceName":
                return {"type": "string", "value": "DCam"}
            case "getDeviceLibrary":
                return {"type": "string", "value": camera.library}
            case "getExposure":
                value = camera.exposure_ms
            case "getPixelSizeUm":
                if arguments != [True]:
                    raise RuntimeError("java.lang.Exception: this would ask the objective turret")
                value = camera.pixel_um
            case "getNumberOfCameraChannels":
                value = 1
            case "getImageBitDepth":
                value = camera.bit_depth
            case _:
                raise RuntimeError(f"java.lang.Exception: {name} is not for us to call")
        return {"type": "primitive", "value": value}

    def _handle(self, java_class, thing, mine):
        """An object that stays here; the client gets a handle and what can be done with it."""
        code = uuid.uuid4().hex
        self._objects[code] = thing
        mine.add(code)
        return {
            "type": "unserialized-object",
            "class": java_class,
            "hash-code": code,
            "port": self.port,
            "interfaces": [java_class, "java.lang.Object"],
            "fields": list(FIELDS.get(java_class, ())),
            "api": [
                {"name": name, "arguments": list(arguments), "return-type": returned}
                for name, arguments, returned in API.get(java_class, ())
            ],
        }
