"""Explorer pages: server-rendered HTML, nothing loaded from elsewhere."""
