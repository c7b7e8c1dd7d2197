"""Small real files for the demo data: Word, Excel, PowerPoint, CSV and PNG, from the standard library alone.

The same arguments give the same bytes. The Office files hold the fewest parts
that Word, Excel, PowerPoint and LibreOffice open without complaint.
"""

import csv as csv_format
import io
import struct
import zipfile
import zlib
from xml.sax.saxutils import escape, quoteattr

_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPES_NS = "http://schemas.openxmlformats.org/package/2006/content-types"
_PACKAGE_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a ZIP can hold

_BACKGROUND, _AXIS, _BAR = (247, 249, 252), (90, 100, 115), (38, 110, 190)


def docx(title, paragraphs):
    """Return a Word document: `title` as its heading, then one paragraph for each text."""
    styles = (
        f'<w:styles xmlns:w="{_WORD}">'
        '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/>'
        '<w:pPr><w:spacing w:after="240"/><w:outlineLvl w:val="0"/></w:pPr>'
        '<w:rPr><w:b/><w:sz w:val="36"/></w:rPr></w:style></w:styles>'
    )
    heading = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    body = "".join(
        f'<w:p>{style}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
        for style, text in [(heading, title), *(("", text) for text in paragraphs)]
    )
    page = (
        '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1440" w:right="1440" w:bottom="1440" w:left="1440" '
    )
    page += 'w:header="708" w:footer="708" w:gutter="0"/></w:sectPr>'
    return _package(
        main="word/document.xml",
        types={
            "word/document.xml": "wordprocessingml.document.main+xml",
            "word/styles.xml": "wordprocessingml.styles+xml",
        },
        relations={"word/document.xml": [("styles", "styles.xml")]},
        parts={
            "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}{page}</w:body></w:document>',
            "word/styles.xml": styles,
        },
    )


def xlsx(sheet_name, rows):
    """Return an Excel workbook of one sheet. Numbers stay numbers, None is an empty cell, the rest is text.

    sheet_name: 1 to 31 characters, none of \\ / ? * [ ] :
    """
    data = "".join(_row(number, row) for number, row in enumerate(rows, start=1))
    styles = (
        f'<styleSheet xmlns="{_SHEET}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )
    return _package(
        main="xl/workbook.xml",
        types={
            "xl/workbook.xml": "spreadsheetml.sheet.main+xml",
            "xl/worksheets/sheet1.xml": "spreadsheetml.worksheet+xml",
            "xl/styles.xml": "spreadsheetml.styles+xml",
        },
        relations={"xl/workbook.xml": [("worksheet", "worksheets/sheet1.xml"), ("styles", "styles.xml")]},
        parts={
            "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELS}"><sheets>'
            f'<sheet name={quoteattr(sheet_name)} sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{data}</sheetData></worksheet>',
            "xl/styles.xml": styles,
        },
    )


def pptx(title, slides):
    """Return a PowerPoint presentation: a title slide, then one slide for each (heading, [line, ...])."""
    pages = [(title, []), *slides]
    names = [f"ppt/slides/slide{number}.xml" for number in range(1, len(pages) + 1)]
    ids = "".join(f'<p:sldId id="{256 + index}" r:id="rId{index + 3}"/>' for index in range(len(pages)))
    namespaces = f'xmlns:a="{_DRAWING}" xmlns:r="{_RELS}" xmlns:p="{_SLIDE}"'
    color_map = '<p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" tx2="dk2" '
    color_map += "".join(f'accent{n}="accent{n}" ' for n in range(1, 7)) + 'hlink="hlink" folHlink="folHlink"/>'
    background = '<p:bg><p:bgRef idx="1001"><a:schemeClr val="bg1"/></p:bgRef></p:bg>'
    frame = _shape(2, "title", "", 0) + _shape(3, "body", "", 1)
    parts = {
        "ppt/presentation.xml": f"<p:presentation {namespaces}>"
        '<p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst>'
        f'<p:sldIdLst>{ids}</p:sldIdLst><p:sldSz cx="12192000" cy="6858000"/>'
        '<p:notesSz cx="6858000" cy="9144000"/></p:presentation>',
        "ppt/slideMasters/slideMaster1.xml": f"<p:sldMaster {namespaces}>{_slide_body(frame, background)}{color_map}"
        '<p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst></p:sldMaster>',
        "ppt/slideLayouts/slideLayout1.xml": f'<p:sldLayout {namespaces} type="obj" preserve="1">{_slide_body(frame)}'
        "<p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sldLayout>",
        "ppt/theme/theme1.xml": _theme(),
    }
    for name, (heading, lines) in zip(names, pages, strict=True):
        text = _shape(2, "title", [heading], 0) + (_shape(3, "body", lines, 1) if lines else "")
        parts[name] = f"<p:sld {namespaces}>{_slide_body(text)}<p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sld>"
    return _package(
        main="ppt/presentation.xml",
        types={
            "ppt/presentation.xml": "presentationml.presentation.main+xml",
            "ppt/slideMasters/slideMaster1.xml": "presentationml.slideMaster+xml",
            "ppt/slideLayouts/slideLayout1.xml": "presentationml.slideLayout+xml",
            "ppt/theme/theme1.xml": "theme+xml",
            **dict.fromkeys(names, "presentationml.slide+xml"),
        },
        relations={
            "ppt/presentation.xml": [
                ("slideMaster", "slideMasters/slideMaster1.xml"),
                ("theme", "theme/theme1.xml"),
                *(("slide", name.removeprefix("ppt/")) for name in names),
            ],
            "ppt/slideMasters/slideMaster1.xml": [
                ("slideLayout", "../slideLayouts/slideLayout1.xml"),
                ("theme", "../theme/theme1.xml"),
            ],
            "ppt/slideLayouts/slideLayout1.xml": [("slideMaster", "../slideMasters/slideMaster1.xml")],
            **{name: [("slideLayout", "../slideLayouts/slideLayout1.xml")] for name in names},
        },
        parts=parts,
    )


def csv(rows):
    """Return the rows as UTF-8 CSV with a byte order mark, so that Excel reads accents right."""
    text = io.StringIO()
    csv_format.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def png(width=640, height=360, values=(3, 5, 4, 7, 6, 9, 8)):
    """Return a PNG picture of a bar chart of `values` (numbers above 0); sides in pixels, 32 or more."""
    margin = max(4, min(width, height) // 12)
    plot_width, plot_height = width - 2 * margin, height - 2 * margin
    slot = plot_width / len(values)
    heights = [round(plot_height * value / max(values)) for value in values]
    rows = []
    for y in range(height):
        row = bytearray(bytes(_BACKGROUND) * width)
        above_axis = height - margin - y
        if above_axis == 0:
            row[3 * margin : 3 * (width - margin)] = bytes(_AXIS) * plot_width
        for index, bar in enumerate(heights):
            if 0 < above_axis <= bar:
                left, right = margin + round(slot * (index + 0.15)), margin + round(slot * (index + 0.85))
                row[3 * left : 3 * right] = bytes(_BAR) * (right - left)
        rows.append(b"\0" + bytes(row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _package(*, main, types, relations, parts):
    """Return an Office package. `parts` is {name: XML}.

    types: {name of a part: its content type without the common prefix}. relations: {name of a part: (kind, target)
    pairs}.
    """
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{_OFFICE}{content_type}"/>' for name, content_type in types.items()
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_TYPES_NS}"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
        "_rels/.rels": _relationships([("officeDocument", main)]),
    }
    for name, targets in relations.items():
        folder, _slash, base = name.rpartition("/")
        files[f"{folder}/_rels/{base}.rels"] = _relationships(targets)
    files |= parts
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 0  # otherwise the bytes differ between operating systems
            package.writestr(info, _DECLARATION + content)
    return target.getvalue()


def _relationships(targets):
    lines = "".join(
        f'<Relationship Id="rId{number}" Type="{_RELS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_PACKAGE_RELS}">{lines}</Relationships>'


def _column(index):
    """The letters of a column: 0 → A, 26 → AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _row(number, values):
    cells = "".join(_cell(f"{_column(index)}{number}", value) for index, value in enumerate(values))
    return f'<row r="{number}">{cells}</row>'


def _cell(reference, value):
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<c r="{reference}"><v>{value}</v></c>'
    return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'


def _slide_body(shapes, background=""):
    return (
        f'<p:cSld>{background}<p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>'
        f"<p:grpSpPr/>{shapes}</p:spTree></p:cSld>"
    )


def _shape(number, placeholder, lines, index):
    """A text box: the title (index 0) at the top, the body below; sizes in English Metric Units."""
    top, height, size = ((457200, 1143000, 3600), (1828800, 4343400, 2000))[index]
    paragraphs = "".join(
        f'<a:p><a:r><a:rPr lang="en" sz="{size}"/><a:t>{escape(line)}</a:t></a:r></a:p>' for line in lines
    )
    mark = f'<p:ph type="{placeholder}"/>' if index == 0 else f'<p:ph type="{placeholder}" idx="{index}"/>'
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="{placeholder} {number}"/><p:cNvSpPr/>'
        f"<p:nvPr>{mark}</p:nvPr></p:nvSpPr>"
        f'<p:spPr><a:xfrm><a:off x="838200" y="{top}"/><a:ext cx="10515600" cy="{height}"/></a:xfrm>'
        '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr>'
        f"<p:txBody><a:bodyPr/><a:lstStyle/>{paragraphs or '<a:p/>'}</p:txBody></p:sp>"
    )


def _theme():
    """The smallest valid theme: twelve colors, two fonts, and three of each kind of format."""
    colors = {
        "dk1": "1F2933",
        "lt1": "FFFFFF",
        "dk2": "334E68",
        "lt2": "F0F4F8",
        "hlink": "2563EB",
        "folHlink": "7C3AED",
    }
    accents = ("266EBE", "2F9E7E", "E0A030", "C2503D", "7A5CC0", "4A90A4")
    order = ["dk1", "lt1", "dk2", "lt2", *(f"accent{n}" for n in range(1, 7)), "hlink", "folHlink"]
    colors |= {f"accent{n}": value for n, value in enumerate(accents, start=1)}
    scheme = "".join(f'<a:{name}><a:srgbClr val="{colors[name]}"/></a:{name}>' for name in order)
    font = '<a:latin typeface="Calibri"/><a:ea typeface=""/><a:cs typeface=""/>'
    fill = '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>'
    line = f'<a:ln w="9525">{fill}</a:ln>'
    effect = "<a:effectStyle><a:effectLst/></a:effectStyle>"
    return (
        f'<a:theme xmlns:a="{_DRAWING}" name="Portal"><a:themeElements>'
        f'<a:clrScheme name="Portal">{scheme}</a:clrScheme>'
        f'<a:fontScheme name="Portal"><a:majorFont>{font}</a:majorFont><a:minorFont>{font}</a:minorFont></a:fontScheme>'
        f'<a:fmtScheme name="Portal"><a:fillStyleLst>{fill * 3}</a:fillStyleLst><a:lnStyleLst>{line * 3}</a:lnStyleLst>'
        f"<a:effectStyleLst>{effect * 3}</a:effectStyleLst><a:bgFillStyleLst>{fill * 3}</a:bgFillStyleLst>"
        "</a:fmtScheme></a:themeElements></a:theme>"
    )
