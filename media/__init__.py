"""Sound out, decoding, loudness and text to speech."""
