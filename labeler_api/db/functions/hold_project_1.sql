-- Finds what a user may know of a project, by its id or its dataset's, and holds on to the project and to their role.
-- Only who has one of the roles, or is let in anyway, gets the locks. `outcome` is NULL where nothing was found,
-- 'held', 'refused', or 'changed' when the role or the project is not as it was a moment before.
CREATE FUNCTION hold_project_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_role text;
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
    IF p_anyway THEN
        SELECT 'held' INTO outcome FROM annotation_projects p WHERE p.id = found_project_id FOR KEY SHARE;
    ELSE
        -- The project's row first, as everywhere else.
        SELECT CASE WHEN m.role = found_role THEN 'held' END INTO outcome
        FROM annotation_projects p JOIN project_permissions m ON m.project_id = p.id
        WHERE p.id = found_project_id AND m.user_id = p_user_id
        FOR KEY SHARE OF p FOR SHARE OF m;
    END IF;
    outcome := COALESCE(outcome, 'changed');
END;
$function$;
