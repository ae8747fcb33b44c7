"""The commands of `./mill`, by what they are about; `pipelines.__main__` puts them together."""
