-- Gives a member another role, or with NULL removes them, where the role that they have is one of p_present. Invitations
-- to them are cancelled, and those that they sent and could not send any more, with a role not in p_grantable. p_roles:
-- that in which the user was seen. `outcome`: as of lock_project_1, 'done', or 'untouchable', with the member's role.
CREATE FUNCTION set_member_role_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_member_id integer, p_wanted text,
    p_present text[], p_grantable text[],
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT member project_permissions
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'role');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    -- The row as it is at this very moment decides, not one read before.
    IF p_wanted IS NULL THEN
        DELETE FROM project_permissions m
        WHERE m.project_id = found_project_id AND m.user_id = p_member_id AND m.role = ANY (p_present)
        RETURNING m.* INTO member;
    ELSE
        UPDATE project_permissions m SET role = p_wanted
        WHERE m.project_id = found_project_id AND m.user_id = p_member_id AND m.role = ANY (p_present)
        RETURNING m.* INTO member;
    END IF;
    IF NOT FOUND THEN
        SELECT m.* INTO member FROM project_permissions m
        WHERE m.project_id = found_project_id AND m.user_id = p_member_id;
        outcome := 'untouchable';
        RETURN;
    END IF;
    -- After the member's row was changed, so that the locks which they took and the invitations which they sent are seen
    -- while the change waited for them.
    IF p_wanted IS NULL THEN
        DELETE FROM image_locks l WHERE l.project_id = found_project_id AND l.user_id = p_member_id;
    END IF;
    PERFORM cancel_invitations_1(found_dataset_id, ARRAY[p_member_id], p_member_id, p_grantable);
    outcome := 'done';
END;
$function$;
