"""Excess noise of cameras that multiply electrons."""

EM_STAGES = 536  # of the register of common EMCCDs (e2v CCD97)


def excess_noise_of(em_gain: float) -> float:
    """Return the excess noise factor F^2 of an EM gain: 1 without, nearly 2.

    Reference:
        Robbins & Hadwen (2003), for a register of EM_STAGES stages.
    """
    if em_gain <= 1:
        return 1.0
    return float(2 * (em_gain - 1) * em_gain ** (-(EM_STAGES + 1) / EM_STAGES) + 1 / em_gain)
