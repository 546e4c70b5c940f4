"""What all pages share: language, words, style, the engine, work in the background."""
