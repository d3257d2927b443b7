"""Choose the covariances and the iterations of a window's density."""

from __future__ import annotations

from collections.abc import Callable

from selfstorm.compute.batching import out_of_memory
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.frames import Array
from selfstorm.physics.operators import LaggedCovariance
from selfstorm.stages.covariances import WindowStatistics
from selfstorm.stages.density import cold_iterations
from selfstorm.stages.held_out import MAX_HELD_OUT_PX, most_significant_part
from selfstorm.stream.covariance_history import CovarianceHistory, Selection
from selfstorm.stream.iteration_choice import IterationChoice
from selfstorm.stream.processing_level import ProcessingLevel


def selection_of(
    history: CovarianceHistory, numbers: Array, stride: int, level: ProcessingLevel, *, at_newest: bool
) -> Selection:
    """Select the covariances that stage A is computed from.

    The first window uses all of them; later windows use the history at the time of the picture, which is that of the
    newest frame where pictures follow the sample's motion (at_newest).

    Args:
        history: covariances of the frames so far.
        numbers: (T,) of the window's frames.
        stride: frames until the next window.
        level: extent of the processing.
        at_newest: pictures follow the sample's motion.
    """
    if not history.older_than(int(numbers[0])):
        return history.everything()
    # At the time of the frames that emitters are found in; of the window where the density is the picture.
    whole = level.estimate == "density"
    middle = float((numbers if whole else numbers[-stride:]).mean())
    if whole and at_newest:
        middle = float(numbers[-1])
    return history.at(middle, len(numbers) if whole else 0)


def choice_of(
    choice: IterationChoice,
    selection: Selection,
    statistics: WindowStatistics,
    operator: Callable[[], LaggedCovariance],
    graphs: Graphs | None = None,
) -> IterationChoice:
    """Choose the number of iterations by held-out frames, where it is due.

    Of a large field, its most significant part is used.

    Args:
        choice: the choice so far.
        selection: covariances of the window.
        statistics: of the same.
        operator: returns the operator of that part (`held_out.grid_of_part`), called where it is due.
        graphs: CUDA graphs of that operator.
    """
    halves = selection.halves() if choice.due else None
    mean, ceiling = statistics.mean, cold_iterations(statistics.frames)
    if halves is None:
        return choice.without_check()
    if max(mean.shape) > MAX_HELD_OUT_PX:
        part = most_significant_part(statistics.covariance, MAX_HELD_OUT_PX)
        halves, mean = (halves[0].part(*part), halves[1].part(*part)), mean[part]
    try:
        return choice.for_window(operator(), halves, mean, ceiling, graphs)
    except Exception as error:
        if not out_of_memory(error):
            raise
    return choice.without_check()  # keeps the number in use until there is memory
