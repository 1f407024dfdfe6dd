"""What belongs to one person: a second factor, passkeys, and the places where they are signed in."""
