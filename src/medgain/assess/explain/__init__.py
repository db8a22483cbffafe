"""What a discriminator looks at."""
