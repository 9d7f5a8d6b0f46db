"""A cloud of words."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from markupsafe import Markup
from wordcloud import WordCloud

from jobs.pages.drawing import COLOURS, short


def cloud(sizes: Mapping[str, int]) -> Markup:
    """A picture of words, each as large as its number."""
    ordered = sorted(sizes, key=lambda word: (-sizes[word], word))
    places = {short(word): place for place, word in enumerate(ordered)}
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    words = WordCloud(
        font_path=str(font),
        width=1800,
        height=620,
        background_color="white",
        color_func=lambda word, **_: COLOURS[places[word] % len(COLOURS)],
        prefer_horizontal=1,
        relative_scaling=0.6,
        min_font_size=20,
        margin=10,
        random_state=7,
    ).generate_from_frequencies({short(word): sizes[word] for word in ordered})
    file = io.BytesIO()
    # Flat colours need no more than a palette.
    words.to_image().quantize(64).save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    # What it depicts stands in the figure's own description.
    return Markup('<img alt="" src="data:image/png;base64,{}">').format(data)
