"""All stages, in the order in which a window passes through them."""

from __future__ import annotations

from selfstorm.stages.candidates import CANDIDATES
from selfstorm.stages.covariances import STATISTICS
from selfstorm.stages.density import DENSITY
from selfstorm.stages.emitters import EMITTERS
from selfstorm.stages.localization import LOCALIZATION
from selfstorm.stages.out_of_focus import OUT_OF_FOCUS
from selfstorm.stages.rendering import RENDERING

STAGES = (STATISTICS, OUT_OF_FOCUS, DENSITY, EMITTERS, CANDIDATES, LOCALIZATION, RENDERING)
