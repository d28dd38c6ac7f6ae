"""Filings and company reports of the SEC as a panel."""
