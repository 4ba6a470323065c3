-- Cancels the invitations to a dataset's project that are pending to some users, and those that a user sent with a role
-- not in p_grantable. In the order of ids, so that two changes at once never wait for each other.
CREATE FUNCTION cancel_invitations_1(p_dataset_id text, p_to integer[], p_sent_by integer, p_grantable text[])
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    UPDATE invitations SET status = 'cancelled', cancelled_at = clock_timestamp()
    WHERE id = ANY (ARRAY(
        SELECT i.id FROM invitations i
        WHERE i.dataset_id = p_dataset_id AND i.status = 'pending' AND i.expires_at > clock_timestamp()
          AND (i.invitee_id = ANY (p_to) OR i.inviter_id = p_sent_by AND i.role <> ALL (p_grantable))
        ORDER BY i.id FOR UPDATE
    ));
END;
$function$;
