# The image of every container of the compose stack: the static binary and nothing else, so that no image registry is
# needed. This is the one that `cargo xtask compose` builds and the tests run; compose/Dockerfile.build is for people
# without a Rust toolchain.
#
#   cargo xtask compose up       builds the binary and this image, then starts the stack
#
# The build context is the folder that holds the binary:
#
#   docker build --tag perigee:local --file Dockerfile compose/bin
FROM scratch
COPY perigee /perigee
ENTRYPOINT ["/perigee"]
