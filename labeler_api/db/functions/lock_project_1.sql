-- Finds what a user may know of a project, by its id or its dataset's, and locks it as p_lock says (members/policy.py):
-- 'role' holds on to the project and to the user's role, 'turn' lets nobody else change the project itself, 'alone' lets
-- nobody else write to it at all. Only who has one of the roles, or is let in anyway, gets the locks. `outcome`: as of
-- hold_project_1.
CREATE FUNCTION lock_project_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_lock text,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    SELECT p.id, d.id, d.visibility, d.owner_id, m.role
    INTO found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = p_user_id
    WHERE d.id = COALESCE((SELECT a.dataset_id FROM annotation_projects a WHERE a.id = p_reference), p_reference);
    IF found_dataset_id IS NULL THEN
        RETURN;
    END IF;
    IF found_project_id IS NULL OR NOT (p_anyway OR COALESCE(found_role = ANY (p_roles), false)) THEN
        outcome := 'refused';
        RETURN;
    END IF;
    -- The project's row first, as everywhere else.
    CASE p_lock
        WHEN 'role' THEN PERFORM FROM annotation_projects p WHERE p.id = found_project_id FOR KEY SHARE;
        WHEN 'turn' THEN PERFORM FROM annotation_projects p WHERE p.id = found_project_id FOR NO KEY UPDATE;
        WHEN 'alone' THEN PERFORM FROM annotation_projects p WHERE p.id = found_project_id FOR UPDATE;
    END CASE;
    outcome := 'changed';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT p_anyway THEN
        PERFORM FROM project_permissions m
        WHERE m.project_id = found_project_id AND m.user_id = p_user_id AND m.role = found_role FOR SHARE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    outcome := 'held';
END;
$function$;
