"""``python -m hex_assets`` is the ``hex-assets`` command."""

from hex_assets.cli import main

main()
