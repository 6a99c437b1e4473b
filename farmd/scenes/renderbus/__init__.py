"""Files of the render service Renderbus: task.json, upload.json, asset.json and tips.json, read and written.

`order` reads a folder of them into what a job needs, `back` writes a job as such a folder, and `rows` is the table
that both go by, so that what is written is what would be read. Our own code, after the documented shape of the files;
the client of that service is not needed, and nothing here speaks to the service.
"""
