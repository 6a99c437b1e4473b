"""Which attribute of which node of Maya names which kind of file, and what Maya leaves out because it is the default.

Tables only, for `maya_ascii` and `maya_binary`. Sources: the attribute names that Maya, MtoA, appleseed, Redshift, V-Ray
and RenderMan write into scenes, and the lists of published tools that gather files. Names are looked up by the last
part of an attribute, without indices: `.euvt[0].eutn` is `eutn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.scenes.content import Role, Spread

if TYPE_CHECKING:
    from collections.abc import Mapping


class Named(NamedTuple):
    """An attribute that names a file.

    Attributes:
        long: Its long name, which reports show.
        short: Its short name, which Maya writes; the same where the plug-in has no other.
        role: What the file is to the scene.
        spread: Set if it always stands for several files.
    """

    long: str
    short: str
    role: Role
    spread: Spread = Spread.ONE


def _texture(*names: str) -> tuple[Named, ...]:
    return tuple(Named(name, name, Role.TEXTURE) for name in names)


def _cache(*names: str) -> tuple[Named, ...]:
    return tuple(Named(name, name, Role.CACHE) for name in names)


_FILE_NAME = (Named("fileName", "fn", Role.CACHE),)
_FILE_TEXTURE = (Named("fileTextureName", "ftn", Role.TEXTURE), Named("explicitUvTileName", "eutn", Role.TEXTURE))
_USD = (Named("filePath", "fp", Role.SCENE),)
_TEX0 = _texture("tex0")
_LIGHT_MAP = _texture("lightColorMap")

NAMING: Final[Mapping[str, tuple[Named, ...]]] = {
    # Maya
    "file": _FILE_TEXTURE,
    "psdFileTex": _FILE_TEXTURE,
    "movie": (Named("fileTextureName", "ftn", Role.CLIP),),
    "imagePlane": (Named("imageName", "imn", Role.CLIP),),
    "audio": (Named("filename", "f", Role.SOUND),),
    "MASH_Audio": (Named("filename", "filename", Role.SOUND),),
    "AlembicNode": (Named("abc_File", "fn", Role.CACHE), Named("abc_layerFiles", "fns", Role.CACHE)),
    "gpuCache": (Named("cacheFileName", "cfn", Role.CACHE),),
    "cacheFile": (Named("cachePath", "cp", Role.CACHE, Spread.FOLDER),),
    "BifMeshImportNode": (Named("bifMeshDirectory", "bifMeshDirectory", Role.CACHE, Spread.FOLDER),),
    "assemblyReference": (Named("definition", "def", Role.SCENE),),
    "colorManagementGlobals": (Named("configFilePath", "cfp", Role.COLOUR),),
    "xgmPalette": (
        Named("xgFileName", "xfn", Role.GROOM),
        Named("xgBaseFile", "xbf", Role.GROOM),
        Named("xgDeltaFiles", "xdf", Role.GROOM),
    ),
    "xgmSplineCache": (Named("fileName", "fn", Role.GROOM),),
    # USD
    "mayaUsdProxyShape": _USD,
    "mayaUsdProxyShapeBase": _USD,
    "pxrUsdProxyShape": _USD,
    "pxrUsdReferenceAssembly": _USD,
    "AL_usdmaya_ProxyShape": _USD,
    # Arnold
    "aiImage": _texture("filename"),
    "alTriplanar": _texture("texture"),
    "aiPhotometricLight": (Named("aiFilename", "ai_filename", Role.OTHER),),
    "aiStandIn": _cache("dso"),
    "aiVolume": _cache("filename"),
    "aiIncludeGraph": _cache("filename"),
    "aiMaterialXShader": (Named("materialXFilePath", "materialXFilePath", Role.OTHER),),
    "bifShape": (Named("aiFilename", "ai_filename", Role.CACHE),),
    # Redshift
    "RedshiftNormalMap": _TEX0,
    "RedshiftSprite": _TEX0,
    "RedshiftCameraMap": _TEX0,
    "RedshiftLightGobo": _TEX0,
    "RedshiftDomeLight": _texture("tex0", "tex1"),
    "RedshiftEnvironment": _texture("tex0", "tex1", "tex2", "tex3", "tex4"),
    "RedshiftBokeh": _texture("dofBokehImage"),
    "RedshiftLensDistortion": _texture("LDimage"),
    "RedshiftIESLight": (Named("profile", "profile", Role.OTHER),),
    "RedshiftProxyMesh": _FILE_NAME,
    "RedshiftVolumeShape": _FILE_NAME,
    # V-Ray
    "VRayMesh": (Named("fileName", "fn", Role.CACHE), Named("fileName2", "fn2", Role.CACHE)),
    "VRayVolumeGrid": _cache("inFile"),
    "VRayPtex": _texture("ptexFile"),
    "VRayScannedMtl": _texture("file"),
    "VRaySimbiont": _texture("file"),
    "VRayVRmatMtl": (Named("fileName", "fn", Role.OTHER),),
    "VRayTexOSL": (Named("fileName", "fn", Role.OTHER),),
    "VRayTexGLSL": (Named("fileName", "fn", Role.OTHER),),
    "VRayMtlGLSL": (Named("fileName", "fn", Role.OTHER),),
    "VRayTexOCIO": (Named("ocioConfigFile", "ocioConfigFile", Role.COLOUR),),
    "VRayLightIESShape": (Named("iesFile", "iesFile", Role.OTHER),),
    # RenderMan
    "PxrTexture": _texture("filename"),
    "PxrBump": _texture("filename"),
    "PxrNormalMap": _texture("filename"),
    "PxrPtexture": _texture("filename"),
    "PxrMultiTexture": _texture(*(f"filename{number}" for number in range(10))),
    "PxrGobo": _texture("map"),
    "PxrCookieLightFilter": _texture("map"),
    "PxrDomeLight": _LIGHT_MAP,
    "PxrRectLight": (*_LIGHT_MAP, Named("iesProfile", "iesProfile", Role.OTHER)),
    "PxrDiskLight": (Named("iesProfile", "iesProfile", Role.OTHER),),
    "PxrSphereLight": (Named("iesProfile", "iesProfile", Role.OTHER),),
    "RenderManArchive": _cache("filename"),
    # others
    "appleseedAlphaMap": _texture("map"),
    "RPRTexture": _texture("filename"),
    "RPRIBL": _texture("filePath"),
    "RPRIES": (Named("filePath", "filePath", Role.OTHER),),
    "dlTexture": _texture("textureFile"),
    "dlTriplanar": _texture("colorTexture", "floatTexture", "heightTexture"),
    "mentalrayTexture": _FILE_TEXTURE,
    "mentalrayIblShape": (Named("texture", "tx", Role.TEXTURE),),
    "mentalrayLightProfile": (Named("fileName", "fn", Role.OTHER),),
    "pgYetiMaya": _cache("cacheFileName"),
}

FRAMES_BY: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("file", "psdFileTex", "movie", "imagePlane", "mentalrayTexture"), ("useFrameExtension", "ufe")),
    **dict.fromkeys(("aiStandIn", "aiVolume", "RedshiftProxyMesh"), ("useFrameExtension", "useFrameExtension")),
}
"""Node types with a switch, long and short, that makes one written frame stand for all."""

TILED_BY: Final = ("uvTilingMode", "uvt")
"""0 off, 1 from u0_v0 (ZBrush), 2 from u1_v1 (Mudbox), 3 UDIM (Mari), 4 each tile is listed."""

MOVIES: Final = frozenset({"avi", "mov", "mp4", "m4v", "mpg", "mpeg", "wmv", "webm"})
"""Hold all their frames in one file, whatever the switch says."""

INSTALLED: Final = "<MAYA_RESOURCES>"
"""Begins paths of files that come with Maya itself."""

PRESETS: Final = "/presets/ShaderFX/Images/"
"""Folder of images that Maya's viewport shaders bring along, below wherever it was installed."""

DEFAULT_NODES: Final[Mapping[str, str]] = {
    "defaultRenderGlobals": "renderGlobals",
    "defaultResolution": "resolution",
    "defaultColorMgtGlobals": "colorManagementGlobals",
    "time1": "time",
}
"""Nodes of every scene, which no `createNode` makes -> their type."""

TOLD: Final = frozenset(
    {
        "renderGlobals",
        "resolution",
        "time",
        "camera",
        "stereoRigCamera",
        "renderLayer",
        "renderSetupLayer",
        "absOverride",
        "absUniqueOverride",
        "relOverride",
        "relUniqueOverride",
        "reference",
        "aiOptions",
        "aiAOVDriver",
    }
)
"""Node types that name no files and say something about the render."""

WANTED: Final = TOLD | NAMING.keys()
"""Node types that a reader must not pass over."""

FRAMES_PER_SECOND: Final[Mapping[str, float]] = {
    "game": 15,
    "film": 24,
    "pal": 25,
    "ntsc": 30,
    "show": 48,
    "palf": 50,
    "ntscf": 60,
    "29.97df": 29.97,
    "millisec": 1000,
    "sec": 1,
    "min": 1 / 60,
    "hour": 1 / 3600,
}
"""Units of time by name; all others are written as "23.976fps"."""

IMAGE_FORMATS: Final[Mapping[int, str]] = {
    0: "gif",
    1: "pic",
    2: "rla",
    3: "tif",
    4: "tif",
    5: "sgi",
    6: "als",
    7: "iff",
    8: "jpg",
    9: "eps",
    10: "iff",
    11: "cin",
    12: "yuv",
    13: "sgi",
    19: "tga",
    20: "bmp",
    22: "mov",
    23: "avi",
    31: "psd",
    32: "png",
    35: "dds",
    36: "psd",
}
"""`defaultRenderGlobals.imageFormat` -> suffix; 50 and 51 leave it to `imfPluginKey`."""

ARNOLD_FORMATS: Final[Mapping[str, str]] = {"jpeg": "jpg", "deepexr": "exr", "tiff": "tif"}
"""`aiTranslator` of a driver -> suffix, where they differ."""

SAMPLING: Final[Mapping[str, tuple[tuple[str, ...], int]]] = {
    "camera": (("AA_samples", "AASamples"), 3),
    "diffuse": (("GI_diffuse_samples", "GIDiffuseSamples"), 2),
    "specular": (("GI_specular_samples", "GISpecularSamples", "GI_glossy_samples", "GIGlossySamples"), 2),
    "sss": (("GI_sss_samples", "GISssSamples", "sss_bssrdf_samples"), 2),
    "transmission": (("GI_transmission_samples", "GITransmissionSamples", "GI_refraction_samples"), 2),
    "volume": (("GI_volume_samples", "GIVolumeSamples"), 2),
}
"""Arnold's samples -> attribute names, the oldest last, and the default."""

ARNOLD_SETTINGS: Final[Mapping[str, tuple[tuple[str, ...], bool | int]]] = {
    "motion_blur": (("mb_en", "motion_blur_enable"), False),
    "auto_tx": (("autotx",), True),
    "use_existing_tx": (("usetx", "use_existing_tiled_textures"), True),
    "threads_autodetect": (("thr_auto", "threads_autodetect"), True),
    "threads": (("thrds", "threads"), 1),
    "texture_memory_mb": (("texture_max_memory_MB", "textureMaxMemoryMB", "tx_mm"), 4096),
}
"""Attributes of `defaultArnoldRenderOptions`, by the names that reports use, and their defaults."""
