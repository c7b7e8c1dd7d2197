"""Pictures that the server makes: charts, QR codes, and decoded copies of uploaded pictures."""
