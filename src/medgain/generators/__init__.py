"""Floor 4: generators. One module per generator; `medgain list generators` prints them."""
