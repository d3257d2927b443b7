"""The dock of focus and photons: large values, their change, and the colour of a focus that moves."""

from client.trust.focus_dock import change_text
from client.widgets.theme import theme


def test_focus_and_photons_are_shown_large_with_their_change(showing, publisher):
    window = showing.window
    assert not window.focus.isVisible()
    showing.do("focus")
    for number in range(1, 11):
        moved = number > 5
        metrics = {"width_nm": 130.0 if moved else 100.0, "photons": 800.0, "emitters_per_frame": 20.0 - number}
        publisher.send_window(number, metrics=metrics | ({"defocus": 1.3} if moved else {}))
        showing.until(lambda number=number: showing.shows(number))
    showing.until(lambda: window.focus.tiles["width_nm"].change.text() == "+30 % since the start")
    tiles = window.focus.tiles
    assert [tiles[key].value.text() for key in tiles] == ["130 nm", "800", "10", "–"]
    assert tiles["emitters_per_frame"].change.text() == "-29 % since the start"
    assert tiles["width_nm"].curve.getData()[1].tolist() == [100.0] * 5 + [130.0] * 5
    assert theme().warning in tiles["width_nm"].value.styleSheet()
    assert theme().text in tiles["photons"].value.styleSheet()
    assert window.strip.cells["Focus"].value.text() == "1.30"
    window.focus.close()
    assert not window.menu_actions["focus"].isChecked()


def test_a_change_needs_windows_to_compare():
    assert change_text([1.0] * 9) == ""
    assert change_text([0.0] * 10) == ""
    assert change_text([100.0] * 5 + [50.0] * 5) == "-50 % since the start"
