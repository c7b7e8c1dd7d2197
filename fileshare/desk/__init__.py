"""The pages for the firm's staff: what users with the role ops watch, and how much is uploaded and downloaded."""
