"""Wrong answers of the faces, for seeded.py: name, face, file, the text, what stands there instead, the row that must
fail, and the rows that depend on it and may fail too.
"""

SEEDED = [
    ("xen: another page size", "xen", "enlighten/xen/version.c",
     "return PAGE_BYTES;", "return PAGE_BYTES * 2;", "xen_version.pagesize", []),
]
