"""What a person looks at: contact sheets, tables, plots."""
