-- Invites a user to a project. p_roles: that in which the inviter was seen. `outcome`: as of lock_project_1, 'done',
-- 'member' for who is one already, or 'pending' where an invitation is.
CREATE FUNCTION create_invitation_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_token text, p_invitee_id integer,
    p_invitee_email text, p_role text, p_days integer,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT invitation invitations
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'role');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();
    -- An invitation past its time must not stand in the way of a new one: the index knows no time.
    UPDATE invitations i SET status = 'expired'
    WHERE i.dataset_id = found_dataset_id AND i.invitee_id = p_invitee_id AND i.status = 'pending'
      AND i.expires_at <= v_now;
    PERFORM FROM project_permissions m WHERE m.project_id = found_project_id AND m.user_id = p_invitee_id;
    IF FOUND THEN
        outcome := 'member';
        RETURN;
    END IF;
    -- Of two at once the second finds the first one's row and makes none.
    INSERT INTO invitations
        (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status, created_at, expires_at)
    VALUES (
        p_token, found_dataset_id, p_user_id, p_invitee_id, p_invitee_email, p_role, 'pending', v_now,
        v_now + make_interval(days => p_days))
    ON CONFLICT (dataset_id, invitee_id) WHERE status = 'pending' DO NOTHING
    RETURNING * INTO invitation;
    IF FOUND THEN
        outcome := 'done';
        RETURN;
    END IF;
    outcome := 'pending';
    PERFORM FROM project_permissions m WHERE m.project_id = found_project_id AND m.user_id = p_invitee_id;
    IF FOUND THEN
        outcome := 'member';
    END IF;
END;
$function$;
