"""Cards, SAMs and readers in software, which refuse what real ones refuse."""
