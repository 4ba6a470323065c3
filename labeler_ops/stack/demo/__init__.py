"""The demo project: real photographs, classes and annotations, loaded over the API's own HTTP."""
