"""Java interfaces of the emulated Micro-Manager, as its bridge describes them, and its window."""

from dataclasses import dataclass

CORE, IMAGE = "mmcorej.CMMCore", "mmcorej.TaggedImage"
TEXT, CONFIG, SETTING, RECTANGLE = "java.lang.String", "mmcorej.Configuration", "mmcorej.PropertySetting", "Rectangle"
# What the core can do, as Java describes it: method, argument types, returned type.
CORE_API = (
    ("isSequenceRunning", (), "boolean"),
    ("isSequenceRunning", ("java.lang.String",), "boolean"),
    ("getRemainingImageCount", (), "int"),
    ("getNBeforeLastTaggedImage", ("long",), IMAGE),
    ("getImageBufferSize", (), "long"),
    ("getBufferTotalCapacity", (), "long"),
    ("getCircularBufferMemoryFootprint", (), "double"),
    ("getCameraDevice", (), "java.lang.String"),
    ("getDeviceName", ("java.lang.String",), "java.lang.String"),
    ("getDeviceLibrary", ("java.lang.String",), "java.lang.String"),
    ("getExposure", (), "double"),
    ("getPixelSizeUm", (), "double"),
    ("getPixelSizeUm", ("boolean",), "double"),
    ("getNumberOfCameraChannels", (), "long"),
    ("getImageBitDepth", (), "long"),
    # These are for the owner of the acquisition alone.
    ("popNextTaggedImage", (), IMAGE),
    ("clearCircularBuffer", (), "void"),
    ("startContinuousSequenceAcquisition", ("double",), "void"),
    ("startSequenceAcquisition", ("int", "double", "boolean"), "void"),
    ("stopSequenceAcquisition", (), "void"),
    ("setExposure", ("double",), "void"),
    ("getProperty", (TEXT, TEXT), TEXT),
    ("setProperty", (TEXT, TEXT, TEXT), "void"),
    ("hasProperty", (TEXT, TEXT), "boolean"),
    ("isConfigDefined", (TEXT, TEXT), "boolean"),
    ("getConfigData", (TEXT, TEXT), CONFIG),
    ("setConfig", (TEXT, TEXT), "void"),
    ("waitForConfig", (TEXT, TEXT), "void"),
    ("getROI", (), RECTANGLE),
    ("getImageWidth", (), "long"),
    ("getImageHeight", (), "long"),
    ("getBytesPerPixel", (), "long"),
    ("getNumberOfComponents", (), "long"),
)
STUDIO, MANAGER, SETTINGS = "org.micromanager.Studio", "AcquisitionManager", "SequenceSettings"
API = {
    CORE: CORE_API,
    STUDIO: (("acquisitions", (), MANAGER),),
    MANAGER: (("isAcquisitionRunning", (), "boolean"), ("getAcquisitionSettings", (), SETTINGS)),
    SETTINGS: (("root", (), TEXT), ("prefix", (), TEXT), ("save", (), "boolean")),
    CONFIG: (("size", (), "long"), ("getSetting", ("long",), SETTING)),
    SETTING: (("getDeviceLabel", (), TEXT), ("getPropertyName", (), TEXT)),
}
FIELDS = {IMAGE: ("pix", "tags"), RECTANGLE: ("x", "y")}
OWNER_ONLY = {name for name, _, _ in CORE_API[CORE_API.index(("popNextTaggedImage", (), IMAGE)) :]}


@dataclass
class Studio:
    """Micro-Manager's window, with an acquisition that is saved in root; fault: what each question raises."""

    root: str = ""
    prefix: str = "acq"
    save: bool = True
    runs: bool = True
    settings: bool = True  # or null
    fault: str = ""
    slow: bool = False  # it never answers
    asked: bool = False

    def answer(self, name, handle):
        if self.fault:
            raise RuntimeError(self.fault)
        match name:
            case "acquisitions":
                return handle(MANAGER)
            case "getAcquisitionSettings":
                return handle(SETTINGS) if self.settings else {"type": "none"}
            case "root" | "prefix":
                return {"type": "string", "value": getattr(self, name)}
        return {"type": "primitive", "value": {"isAcquisitionRunning": self.runs, "save": self.save}[name]}
