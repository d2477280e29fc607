"""What an encode is given: pictures and the maps of materials, found, told apart and put together."""
