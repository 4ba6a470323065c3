-- The five demo accounts, for `docker compose up`: their passwords are known to everybody (owner@example.com has owner123),
-- so they belong in a User DB that only this machine reaches.

INSERT INTO users
    (id, email, hashed_password, full_name, company, organization_id, system_role, avatar_name, badge_color)
VALUES
    (1, 'admin@example.com', '$2b$10$ZfXg6lktSho5Ob3RMUHiCe.5ELfaBm7k0jHZ6VR4jk80.YMj/Invu',
     'Ada Admin', 'Example', 1, 'admin', 'AA', 'red'),
    (2, 'owner@example.com', '$2b$10$RDg/mZMcVt.XZF54qgYuUOjCYqWTHSSbVCInIvWkgZA9fn5/mBG0m',
     'Olga Owner', 'Example', 1, 'standard_engineer', 'OO', 'blue'),
    (3, 'reviewer@example.com', '$2b$10$XOYci7jNNVu8VMVRl1dp1Ogz1ENhpU9tgQv1yUVnL8cJGSXA5aKGO',
     'Rui Reviewer', 'Example', 1, 'standard_engineer', 'RR', 'green'),
    (4, 'annotator@example.com', '$2b$10$UCRYK11MevFJd3KnLnrq/.0kN5/5MeYZmgzf9MIFaYJAITCoAgFt.',
     'Nina Annotator', 'Example', 1, 'standard_engineer', 'NA', 'orange'),
    (5, 'viewer@example.com', '$2b$10$K3746EVUmygxTdS/qf98xu489wZMPmEAOgcG9aNgmSXPO1byhR.5O',
     'Vera Viewer', 'Example', 1, 'standard_engineer', 'VV', 'purple')
ON CONFLICT DO NOTHING;

SELECT setval(pg_get_serial_sequence('users', 'id'), (SELECT max(id) FROM users));
