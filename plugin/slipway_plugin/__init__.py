"""`kubectl slipway`: looks at rollouts and steers them, for people and for pipelines.

Standard library only, and nothing of ours: it must start in a moment, and run wherever Python and
kubectl do. It asks the cluster through kubectl alone, so every way to log in that kubectl has works
here too.
"""
