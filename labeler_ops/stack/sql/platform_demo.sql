-- One organization with a workspace, which the demo accounts belong to.

INSERT INTO organizations (id, name, company) VALUES (1, 'Example organization', 'Example') ON CONFLICT DO NOTHING;
INSERT INTO workspaces (organization_id, name) VALUES (1, 'Example workspace') ON CONFLICT DO NOTHING;

SELECT setval(pg_get_serial_sequence('organizations', 'id'), (SELECT max(id) FROM organizations));
