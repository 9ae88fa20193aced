"""Show a run, or two side by side: one record, written as JSON, as Markdown and as a page that opens offline."""
