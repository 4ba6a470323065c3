"""The move as one workflow: one engine, one run, one journal. How rows and objects move are lists of phases."""
