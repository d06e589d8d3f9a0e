"""What is known of logged texts, kept between runs, so that a text that comes again costs little.

Of a text only hashes are kept, beside its masked statement. Hashes of texts would let whoever holds
them test guesses at the literals, so the file is encrypted, by a key that is derived from the
workspace's Hex token and stored nowhere. With another token, or damaged, the file counts as none.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from upath import UPath

from hex_assets.frame_files import KEPT_FOR, NOTED_AFTER, read_known, write_table
from hex_assets.warehouse.texts import KEY, MEANINGS, UNREADABLE, KnownTexts, Texts

_VERSION_KEY = "hex_assets.texts"
_SCHEMA: Mapping[str, Any] = {"part": pl.String, "salt": pl.Binary, "encrypted": pl.Binary}
_STORED_TEXTS = {"dialect": pl.String, **KEY, "meaning": pl.UInt32}
_STORED_MEANINGS = {"dialect": pl.String, **MEANINGS}
_MOST_TEXTS, _MOST_MEANINGS = 200_000, 20_000
"""Per dialect, the last learned; a text takes 30 bytes, a meaning a few kilobytes."""

_SALT, _NONCE, _SEED = 16, 12, 8


@cache
def _decoder_version() -> str:
    """A hash of all that decides what a text means, and how it is hashed."""
    digest = hashlib.sha256(f"{version('sqlglot')} {version('polars')}".encode())
    for name in ("comment.py", "known_texts.py", "masking.py", "shapes.py", "texts.py"):
        digest.update(files(__package__).joinpath(name).read_bytes())
    return digest.hexdigest()


class KnownTextsFile:
    """What is known of a workspace's texts, in one encrypted file.

    Args:
        path: a local path or one in an object store.
        secret: from which the key is derived.
        today: the date that counts as today.
    """

    def __init__(self, path: UPath, secret: str, today: Callable[[], date] = date.today) -> None:
        self._path = path
        self._secret = secret.encode()
        self._today = today

    def read(self) -> Texts:
        """What is known; nothing where there is no file that this version and secret made.

        Raises:
            OSError: it is there but cannot be read.
        """
        parts = self._decrypted()
        if not parts:
            return Texts(today=self._today)
        texts, meanings = (pl.read_ipc(io.BytesIO(parts[name])) for name in ("texts", "meanings"))
        known = {}
        for (dialect,), rows in meanings.group_by("dialect", maintain_order=True):
            own = texts.filter(pl.col("dialect") == dialect)
            nobody = pl.lit(None, pl.String)
            known[str(dialect)] = KnownTexts(
                own.select(*KEY, "meaning", user=nobody, kept=pl.lit(True)),
                pl.concat([KnownTexts().meanings, rows.select(*MEANINGS)]),
            )
        seeds = [
            int.from_bytes(parts["seeds"][at : at + _SEED], "big")
            for at in range(0, len(parts["seeds"]), _SEED)
        ]
        return Texts(known, tuple(seeds), self._today)

    def keep(self, texts: Texts) -> None:
        """Store what is known now; what was not seen for 90 days leaves.

        Nothing is written when nothing changed.
        """
        today = self._today()
        kept = [self._kept(dialect, texts, today) for dialect in sorted(texts.known)]
        if not any(changed for *_, changed in kept):
            return
        parts = {
            "seeds": b"".join(seed.to_bytes(_SEED, "big") for seed in texts.seeds),
            "texts": _ipc([rows for rows, _, _ in kept], _STORED_TEXTS),
            "meanings": _ipc([rows for _, rows, _ in kept], _STORED_MEANINGS),
        }
        rows = []
        for part, content in parts.items():
            salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
            encrypted = nonce + self._cipher(salt).encrypt(nonce, content, part.encode())
            rows.append((part, salt, encrypted))
        table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
        write_table(self._path, table, {_VERSION_KEY: _decoder_version()})

    def _kept(
        self, dialect: str, texts: Texts, today: date
    ) -> tuple[pl.DataFrame, pl.DataFrame, bool]:
        """Texts and meanings to store of one dialect, and whether they differ from what is."""
        known = texts.known[dialect]
        used = pl.col("number").is_in(list(texts.used.get(dialect, ())))
        before = known.meanings.with_row_index("number").filter(pl.col("number") > UNREADABLE)
        last_used = pl.col("last_used")
        recent = (
            before.with_columns(last_used=pl.when(used).then(today).otherwise(last_used))
            .filter(last_used >= today - KEPT_FOR)
            .tail(_MOST_MEANINGS)
            .with_columns(dialect=pl.lit(dialect))
        )
        places = recent.select(
            "number", place=pl.int_range(UNREADABLE + 1, pl.len() + UNREADABLE + 1, dtype=pl.UInt32)
        )
        rows = (
            known.texts.filter("kept")
            .join(places, left_on="meaning", right_on="number", maintain_order="left")
            .tail(_MOST_TEXTS)
            .select(pl.lit(dialect).alias("dialect"), *KEY, meaning="place")
        )
        noted = before.filter(used, last_used < today - NOTED_AFTER)
        changed = texts.learned or bool(noted.height) or recent.height != before.height
        return rows, recent.select(*_STORED_MEANINGS), changed

    def _cipher(self, salt: bytes) -> AESGCM:
        derived = HKDF(SHA256(), 32, salt, _VERSION_KEY.encode()).derive(self._secret)
        return AESGCM(derived)

    def _decrypted(self) -> Mapping[str, bytes]:
        rows = read_known(self._path, _SCHEMA, _VERSION_KEY, _decoder_version())
        try:
            return {
                part: self._cipher(salt).decrypt(
                    encrypted[:_NONCE], encrypted[_NONCE:], part.encode()
                )
                for part, salt, encrypted in rows.iter_rows()
            }
        except InvalidTag:
            return {}


def _ipc(rows: list[pl.DataFrame], schema: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pl.concat([pl.DataFrame(schema=schema), *rows]).write_ipc(buffer)
    return buffer.getvalue()
