"""The back office: what validators send is authenticated, stored once, verified and cleared to the fen."""
