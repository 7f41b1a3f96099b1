"""Cards: the approved words of a notice, as a rich card and as SMS text. Pure: bytes and values in, text out.

`load.load_card` reads a card file, `lint.lint` says all that is wrong with it, `render.render` fills it in, `preview`
shows it. Leaves who is told, when and through which channel to the layers above.
"""
