-- Makes the invitee of an invitation a member, where the invitation, its project and its inviter's role are as they were
-- seen. p_stands: whether an inviter with that role may still send it; if not it is cancelled. Accepting once more answers
-- the same, for as long as one is a member. `outcome` is 'done', 'cancelled', 'removed' for who was a member and is not
-- any more, 'gone', or 'changed' when something is not as it was seen.
CREATE FUNCTION accept_invitation_1(
    p_invitation_id integer, p_status text, p_project_id text, p_inviter_role text, p_stands boolean,
    OUT outcome text, OUT member project_permissions
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_invitation invitations;
    v_role text;
BEGIN
    SELECT i.* INTO v_invitation FROM invitations i WHERE i.id = p_invitation_id;
    IF NOT FOUND THEN
        outcome := 'gone';
        RETURN;
    END IF;
    -- Whoever removes one of the two or lowers their role waits for this, or this for them. In the order in which those
    -- take their locks: the project's row, the owner's, a member's, and the invitation last.
    outcome := 'changed';
    PERFORM FROM annotation_projects p
    WHERE p.id = p_project_id AND p.dataset_id = v_invitation.dataset_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM project_permissions m
    WHERE m.project_id = p_project_id AND m.user_id IN (v_invitation.inviter_id, v_invitation.invitee_id)
    ORDER BY m.role = 'owner' DESC, m.user_id FOR SHARE;
    SELECT m.role INTO v_role FROM project_permissions m
    WHERE m.project_id = p_project_id AND m.user_id = v_invitation.inviter_id;
    -- Two accepts, or an accept and a cancel, take turns here; the second sees what the first one did.
    SELECT i.* INTO v_invitation FROM invitations i WHERE i.id = p_invitation_id FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'gone';
        RETURN;
    END IF;
    IF v_invitation.status <> p_status OR v_role IS DISTINCT FROM p_inviter_role
        OR (p_status = 'pending' AND v_invitation.expires_at <= clock_timestamp())
    THEN
        RETURN;
    END IF;
    IF p_status = 'pending' AND NOT p_stands THEN
        UPDATE invitations SET status = 'cancelled', cancelled_at = clock_timestamp() WHERE id = p_invitation_id;
        outcome := 'cancelled';
        RETURN;
    END IF;
    IF p_status = 'pending' THEN
        -- Who became a member by another way meanwhile keeps the role that they have.
        INSERT INTO project_permissions (project_id, user_id, role, granted_by)
        VALUES (p_project_id, v_invitation.invitee_id, v_invitation.role, v_invitation.inviter_id)
        ON CONFLICT ON CONSTRAINT uq_project_user DO NOTHING;
        UPDATE invitations SET status = 'accepted', accepted_at = clock_timestamp() WHERE id = p_invitation_id;
    END IF;
    SELECT m.* INTO member FROM project_permissions m
    WHERE m.project_id = p_project_id AND m.user_id = v_invitation.invitee_id;
    outcome := CASE WHEN FOUND THEN 'done' ELSE 'removed' END;
END;
$function$;
