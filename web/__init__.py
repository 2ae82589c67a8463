"""What our pages share: layout, sign-in, texts, static files."""
