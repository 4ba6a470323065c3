-- Makes another member the owner of a project and its dataset, and gives the owner the role p_former. `outcome` is 'done',
-- 'no_member', or 'not_owner' when the ownership has just moved. Of two transfers at once the second waits at the
-- project's row.
CREATE FUNCTION transfer_project_1(
    p_project_id text, p_owner_id integer, p_new_owner_id integer, p_former text, p_grantable text[],
    OUT outcome text, OUT member project_permissions
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_dataset_id text;
BEGIN
    SELECT p.dataset_id INTO v_dataset_id FROM annotation_projects p WHERE p.id = p_project_id FOR NO KEY UPDATE;
    PERFORM FROM project_permissions m
    WHERE m.project_id = p_project_id AND m.user_id = p_owner_id AND m.role = 'owner' FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'not_owner';
        RETURN;
    END IF;
    PERFORM FROM project_permissions m
    WHERE m.project_id = p_project_id AND m.user_id = p_new_owner_id FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'no_member';
        RETURN;
    END IF;
    UPDATE annotation_projects
    SET owner_id = p_new_owner_id, last_updated_by = p_owner_id, updated_at = clock_timestamp()
    WHERE id = p_project_id;
    UPDATE datasets SET owner_id = p_new_owner_id, updated_at = clock_timestamp() WHERE id = v_dataset_id;
    -- Before the next one is made: the index of owners allows one at a time.
    UPDATE project_permissions SET role = p_former WHERE project_id = p_project_id AND user_id = p_owner_id;
    UPDATE project_permissions SET role = 'owner' WHERE project_id = p_project_id AND user_id = p_new_owner_id
    RETURNING * INTO member;
    PERFORM cancel_invitations_1(v_dataset_id, ARRAY[p_owner_id, p_new_owner_id], p_owner_id, p_grantable);
    outcome := 'done';
END;
$function$;
