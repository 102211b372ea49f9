"""Write the cards of the zoo anew from the records of its nets: `python -m tools.cards`."""

import sys

from fetal_tf.cli.launching import run_command


def main() -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    return run_command(_cards, "the cards written so far stay")


def _cards() -> int:
    from fetal_tf.edge.bundle.bundle import ALIASES, Bundle, resolve_bundle, shelf_names
    from fetal_tf.edge.io.files import write_text_atomic
    from fetal_tf.exporting.bundle_folder import write_checksums
    from fetal_tf.exporting.model_card import CARD, CardFacts, model_card

    for name in (name for name in shelf_names() if name not in ALIASES):
        bundle = Bundle.open(resolve_bundle(f"zoo:{name}"))
        write_text_atomic(bundle.path / CARD, model_card(CardFacts.read(bundle, name)))
        write_checksums(bundle.path)
        print(bundle.path / CARD)
    return 0


if __name__ == "__main__":
    sys.exit(main())
