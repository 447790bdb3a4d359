"""Drawing pictures with pipelines of diffusers: what is asked for, who draws it, what is shown."""
