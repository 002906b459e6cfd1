"""The gRPC front end (the folder is `rpc`, so that `grpc` always means the library)."""
