"""Two users, one called by a text and one by a number, are followed through a night after erase."""

from pathlib import Path

from tests.end_to_end.conftest import SMALL, Warehouse
from tests.jobs.upkeep.naming import naming

# Both are in one delivery: a number among texts is its own.
TEXT, NUMBER = "C-7", "900008"
USERS = [f"C-{n}" if n % 2 else f"{900_000 + n}" for n in range(1, 81)]
# Numbers of users by the order of texts below 0: what numbers of movies there are, is no matter.
ITEMS = [f"item{n}" for n in range(1, 41)]


def write_orders(folder: Path) -> Path:
    """Ratings, of which users like every other item; two lines of ours cannot be used."""
    folder.mkdir()
    lines = [
        f"{user},{item},{5 if u % 2 == i % 2 else 1 + (u + i) % 3},2026-01-{1 + (u + i) % 28:02}"
        for u, user in enumerate(USERS)
        for i, item in enumerate(ITEMS)
        if (u * 7 + i * 13) % 5 < 3
    ]
    lines += [f"{TEXT},item1,much,2026-01-01", "C-9,item1,much,2026-01-01"]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating,date", *lines]) + "\n")
    (folder / "tags.csv").write_text(f"user,tag\n{TEXT},mine\n")
    return folder


def test_users_who_ask_to_be_forgotten_are_gone(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    orders = write_orders(tmp_path / "orders")
    source = ["--dataset", "mine", "--source", str(orders), *SMALL]
    source += ["--set=quality.max_quarantined_share=0.1"]
    warehouse.steps("first", *source, "--ds", "2026-02-01")
    [(number,)] = warehouse.sql(f"select user_id from users where source_user_id = '{TEXT}'")
    assert number < 0
    people = {TEXT: number, NUMBER: int(NUMBER)}
    for user, of_user in people.items():
        found = naming(warehouse.folder, user, of_user)
        kinds = {Path(name).parts[0] for name in found}
        assert kinds >= {"raw", "ids", "runs", "tables", "mlartifacts"} - (
            {"ids"} if user == NUMBER else set()
        )
    asked = ["--release", "mine", "--user", TEXT, "--user", NUMBER, "--apply"]
    done = warehouse.run("erase", *asked)
    assert done.returncode == 0, done.stderr
    assert "models rating/1, order/1 hold a row of them" in done.stdout
    assert "The data of run first is gone" in warehouse.run("rescore", "--run-id", "r").stderr

    def still(user: str) -> list[str]:
        found = naming(warehouse.folder, user, people[user])
        # These stay as they were registered, of before: they hold numbers, and no texts.
        return [name for name in found if not name.startswith("mlartifacts/")]

    assert still(TEXT) == still(NUMBER) == []
    # The source still names both.
    warehouse.steps("second", *source, "--ds", "2026-02-02")
    assert still(TEXT) == still(NUMBER) == []
    assert warehouse.sql("select users, model_version from runs where run_id = 'second'") == [
        (len(USERS) - 2, "2")
    ]
    assert warehouse.sql("select content from quarantine where run_id = 'second'") == [
        ("C-9,item1,much,2026-01-01",)
    ]
    done = warehouse.run("erase", "--release", "mine", "--user", TEXT, "--user", NUMBER)
    # The models of the second night are without them.
    assert "model rating/2" not in done.stdout
    done = warehouse.run("recommend", "--user", TEXT)
    assert "There is no user C-7" in done.stderr
