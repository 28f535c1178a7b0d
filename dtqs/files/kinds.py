"""Names of media types for messages, such as "the file is a HEIC image"."""

from dtqs.files.sniff import UNKNOWN

_NAMES = {
    "application/applefile": "the Mac's companion of a file, without that file's data",
    "application/dicom": "a DICOM scan",
    "application/gzip": "a gzip archive",
    "application/pdf": "a PDF document",
    "application/postscript": "a PostScript file",
    "application/rtf": "an RTF document",
    "application/vnd.rar": "a RAR archive",
    "application/x-7z-compressed": "a 7-Zip archive",
    "application/x-bzip2": "a bzip2 archive",
    "application/x-executable": "a program",
    "application/x-ole-storage": "an office document of an old kind",
    "application/x-xz": "an xz archive",
    "application/xml": "an XML file",
    "application/zip": "a ZIP archive (or an office document)",
    "application/zstd": "a Zstandard archive",
    "image/avif": "an AVIF image",
    "image/bmp": "a BMP image",
    "image/emf": "a Windows drawing (EMF)",
    "image/fits": "a FITS image",
    "image/gif": "a GIF image",
    "image/heic": "a HEIC image",
    "image/heif": "a HEIF image",
    "image/icns": "a Mac icon",
    "image/jp2": "a JPEG 2000 image",
    "image/jpeg": "a JPEG image",
    "image/jxl": "a JPEG XL image",
    "image/jxr": "a JPEG XR image",
    "image/png": "a PNG image",
    "image/qoi": "a QOI image",
    "image/svg+xml": "an SVG drawing",
    "image/tiff": "a TIFF image",
    "image/vnd-ms.dds": "a DDS texture",
    "image/vnd.adobe.photoshop": "a Photoshop file",
    "image/vnd.djvu": "a DjVu document",
    "image/vnd.microsoft.icon": "an icon (ICO)",
    "image/vnd.radiance": "a Radiance HDR image",
    "image/webp": "a WebP image",
    "image/wmf": "a Windows drawing (WMF)",
    "image/x-canon-cr2": "a Canon raw (CR2)",
    "image/x-canon-cr3": "a Canon raw (CR3)",
    "image/x-canon-crw": "a Canon raw (CRW)",
    "image/x-exr": "an OpenEXR image",
    "image/x-fuji-raf": "a Fujifilm raw (RAF)",
    "image/x-minolta-mrw": "a Minolta raw (MRW)",
    "image/x-olympus-orf": "an Olympus raw (ORF)",
    "image/x-panasonic-rw2": "a Panasonic raw (RW2)",
    "image/x-portable-anymap": "a PPM image (or PBM, PGM, PFM, PAM)",
    "image/x-sigma-x3f": "a Sigma raw (X3F)",
    "image/x-win-bitmap": "a mouse pointer (CUR)",
    "image/x-xcf": "a GIMP file",
    "image/x-xpixmap": "an XPM image",
    "text/html": "a web page (HTML)",
    "text/plain": "plain text",
    "video/x-mng": "an MNG animation",
    UNKNOWN: "of an unknown type",
}
_FAMILIES = {"video": "a video", "audio": "a sound file", "image": "an image"}


def description(media_type: str) -> str:
    """Return the end of the sentence "the file is …"."""
    family = _FAMILIES.get(media_type.partition("/")[0])
    return _NAMES.get(media_type) or (f"{family} ({media_type})" if family else f"of type {media_type}")
