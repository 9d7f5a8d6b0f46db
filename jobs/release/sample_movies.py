"""Invented movies for the sample release.

A title is a noun that suits the movie's main genre, put into one of a few patterns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

# Share of movies with this main genre, and the genres that its movies also tend to have.
GENRES = {
    "Action": (0.10, "Adventure Thriller Sci-Fi Crime War"),
    "Adventure": (0.05, "Action Children's Fantasy Sci-Fi"),
    "Animation": (0.03, "Children's Musical Comedy Fantasy"),
    "Children's": (0.05, "Animation Comedy Adventure Fantasy"),
    "Comedy": (0.20, "Romance Drama Crime Musical"),
    "Crime": (0.05, "Drama Thriller Film-Noir Action"),
    "Documentary": (0.03, "War Musical Drama"),
    "Drama": (0.22, "Romance War Crime Mystery Thriller"),
    "Fantasy": (0.02, "Adventure Children's Romance"),
    "Film-Noir": (0.02, "Crime Mystery Thriller"),
    "Horror": (0.06, "Thriller Sci-Fi Mystery Comedy"),
    "Musical": (0.02, "Romance Comedy Drama"),
    "Mystery": (0.02, "Thriller Crime Film-Noir"),
    "Romance": (0.04, "Comedy Drama Musical"),
    "Sci-Fi": (0.03, "Action Adventure Thriller Horror"),
    "Thriller": (0.03, "Action Mystery Crime Drama"),
    "War": (0.02, "Drama Action Romance"),
    "Western": (0.01, "Action Comedy Drama"),
}
# Each genre's own nouns, disjoint, so that a title never belongs to two genres.
NOUNS = {
    "Action": "Convoy Gauntlet Hammerfall Ricochet Crossfire Overdrive Vendetta Strikeforce",
    "Adventure": "Expedition Caravan Lagoon Compass Lighthouse Archipelago Summit Voyage",
    "Animation": "Teapot Hedgehog Snowglobe Tugboat Marionette Scarecrow",
    "Children's": "Treehouse Kitten Puddle Kite Sandcastle Pony Schoolbus Birthday",
    "Comedy": "Wedding Landlord Parrot Casserole Uncle Bicycle Neighbour Dentist Honeymoon Mayor",
    "Crime": "Alibi Heist Ledger Pawnshop Safebreaker Witness Smuggler Racket",
    "Documentary": "Harvest Orchestra Glacier Shipyard Beekeeper Railway Archive Estuary",
    "Drama": "Inheritance Orchard Letter Winter Daughter Harbour Promise Silence Farewell Window",
    "Fantasy": "Dragonfly Enchantress Moonstone Kingdom Wishing-Well Alchemist",
    "Film-Noir": "Streetlamp Cigarette Blackmail Alley Nightclub Stranger",
    "Horror": "Cellar Crypt Whisper Mausoleum Scythe Possession Swamp Asylum Nightfall",
    "Musical": "Serenade Ballroom Chorus Tango Melody Footlights Bandstand",
    "Mystery": "Cipher Clockmaker Séance Manuscript Riddle Locket",
    "Romance": "Bouquet Valentine Balcony Rendezvous Sweetheart Fiancée Kiss Moonlight",
    "Sci-Fi": "Android Satellite Wormhole Quasar Colony Replicator Starship Telescope",
    "Thriller": "Passenger Deadline Hostage Blackout Surveillance Conspiracy Informant Countdown",
    "War": "Regiment Bunker Armistice Minefield Squadron Trench Bugle",
    "Western": "Stagecoach Canyon Marshal Saddle Homestead Gunslinger Mesa Tumbleweed",
}
ADJECTIVES = (
    "Amber Borrowed Brackish Cobalt Copper Crimson Crooked Dappled Electric Faded Frosted Gilded "
    "Hollow Idle Indigo Iron Ivory Jagged Lacquered Lopsided Marbled Nameless Northern Ochre "
    "Painted Paper Patient Quiet Reluctant Restless Rusty Seventh Sleepless Southern Sunken "
    "Tangled Tenfold Thirsty Unlikely Unswept Velvet Wandering Wayward Whistling Wicked Yellow"
)
PLACES = (
    "Ashbury Brindle_Bay Carrow_Hill Coveside Deepwell Eastmere Fallow_Street Galway "
    "Harrow_Creek Inverlochan Juniper_Street Kestrel_Point Lower_Vale Marrow_Lake Northgate Oxbow "
    "Pinewater Quill_Island Saltmarsh Tillerton Umber_County Santa_Inés Willow_Bend Zell"
)
PEOPLE = (
    "Agatha Bernard Cordelia Dolores Ezra Fernanda Gregory Harriet Imogen Jasper Kasper Loretta "
    "Marius Nathaniel Ophelia Percival Quentin Rosalind Silas Theodora Ursula Violeta Wendell Zoë"
)
# Titles in their own language; the article goes to the end, as MovieLens writes it.
FOREIGN = (
    ("Jardin Voyage Secret Dernier_été Facteur Marché Rêve", "Le",
     "de_minuit des_abeilles d'hiver à_l'envers sans_mémoire du_meunier de_Clémence"),
    ("Forêt Fenêtre Promesse Rivière Fille Soirée Leçon", "La",
     "de_minuit des_abeilles d'hiver à_l'envers sans_mémoire du_meunier de_Clémence"),
    ("Sueño Jardín Otoño Camino Corazón Ladrón Pequeño_río", "El",
     "de_mañana sin_nombre del_señor_Ibáñez de_los_pájaros en_la_montaña de_Begoña"),
    ("Gärtner Schlüssel Müller Träumer Nachtwächter", "Der",
     "von_Köln ohne_Gedächtnis im_Frühling und_der_Bär aus_München am_Fluß"),
)  # fmt: skip


def native_titles(genre: str) -> list[str]:
    """Every English title, without its year, that the patterns make for one genre."""
    nouns = words(NOUNS[genre])
    adjectives, places, people = words(ADJECTIVES), words(PLACES), words(PEOPLE)
    titles = [f"{adjective} {noun}, The" for adjective, noun in product(adjectives, nouns)]
    titles += [f"{noun} in {place}, {article(noun)}" for noun, place in product(nouns, places)]
    titles += [f"{person}'s {noun}" for person, noun in product(people, nouns)]
    titles += [f"{noun} for {person}, {article(noun)}" for noun, person in product(nouns, people)]
    return titles


def foreign_titles() -> list[str]:
    """Every title in another language, without its year."""
    return [
        f"{noun} {rest}, {article}"
        for nouns, article, rests in FOREIGN
        for noun, rest in product(words(nouns), words(rests))
    ]


def article(noun: str) -> str:
    return "An" if noun[0] in "AEIOU" else "A"


def words(text: str) -> list[str]:
    return [word.replace("_", " ") for word in text.split()]


def invent_titles(
    rng: np.random.Generator, main_genres: list[str], foreign_share: float = 0.03
) -> list[str]:
    """One title per movie, without its year and each different, to suit the movie's main genre."""
    foreign = iter(rng.permutation(foreign_titles()).tolist())
    native = {genre: iter(rng.permutation(native_titles(genre)).tolist()) for genre in NOUNS}
    is_foreign = rng.random(len(main_genres)) < foreign_share
    return [
        next(foreign) if abroad else next(native[genre])
        for genre, abroad in zip(main_genres, is_foreign, strict=True)
    ]


@dataclass(frozen=True)
class Movies:
    """The movies, the most popular first."""

    movie_id: NDArray[np.int64]
    title: list[str]
    genres: NDArray[np.bool_]
    """movies x 18, in the order of GENRES."""


def make_movies(rng: np.random.Generator, count: int) -> Movies:
    """Invent movies: ids with gaps, titles with years, one to four genres that go together."""
    names = list(GENRES)
    shares = np.array([share for share, _ in GENRES.values()])
    main = rng.choice(len(names), size=count, p=shares / shares.sum())
    companions = np.array([[name in also.split() for name in names] for _, also in GENRES.values()])
    more = rng.choice(4, size=count, p=[0.42, 0.36, 0.17, 0.05])
    # The `more` companions with the highest lots; no genre has fewer than three.
    lots = np.where(companions[main], rng.random((count, len(names))), 0)
    ranks = np.argsort(np.argsort(-lots, axis=1), axis=1)
    genres = (ranks < more[:, None]) & (lots > 0)
    genres[np.arange(count), main] = True
    # A generator of their own: another word in a title leaves all ratings as they are.
    titles = invent_titles(rng.spawn(1)[0], [names[genre] for genre in main])
    years = 2000 - np.minimum(rng.gamma(1.3, 14, size=count), 78).astype(int)
    return Movies(
        movie_id=rng.permutation(rng.choice(count * 11 // 10, size=count, replace=False) + 1),
        title=[f"{title} ({year})" for title, year in zip(titles, years, strict=True)],
        genres=genres,
    )
