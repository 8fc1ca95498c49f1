"""Write the generated regions of all pages again: `python -m docs.tables`, or `make docs`."""

from docs.tables.contents import CONTENTS
from docs.tables.regions import ROOT, filled, pages

for page in pages():
    text = page.read_text(encoding="utf-8")
    new = filled(text, CONTENTS)
    if new != text:
        page.write_text(new, encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")
