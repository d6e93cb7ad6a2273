"""Rows that other tests prove: row → tests, as `file::function` below tests/."""

from __future__ import annotations

LAB_KEYS = "actions/test_keyboard.py"

ROWS = {
    "drain / pause / activate": (
        f"{LAB_KEYS}::test_drain_suspend_activate_and_label",
        "actions/test_availability.py::test_drain_is_done_when_the_node_is_empty_and_the_replacements_run",
        "actions/test_availability.py::test_pause_leaves_what_runs_and_gets_nothing_new",
    ),
    "promote / demote": (
        f"{LAB_KEYS}::test_promote_and_demote",
        "actions/test_roles.py::test_demoting_down_to_the_last_manager",
    ),
    "node remove / labels": (
        f"{LAB_KEYS}::test_a_node_that_is_to_go_is_named_by_typing_it",
        "actions/test_roles.py::test_a_live_manager_is_demoted_emptied_leaves_and_is_removed",
        "actions/test_availability.py::test_labels_are_added_changed_and_removed",
    ),
    "scale / force / roll back, on real engines": (
        "actions/test_services.py::test_a_service_is_scaled_restarted_and_removed",
        "actions/test_services.py::test_an_update_changes_what_is_asked_and_a_rollback_takes_it_back",
    ),
    "service logs / tasks": (
        "ui/test_views.py::test_the_log_of_a_service_and_of_a_task",
        "ui/test_views.py::test_from_a_node_to_its_tasks_to_their_service_and_back",
        "ui/test_places.py::test_the_word_for_an_object_names_it_and_nothing_else",
        "link/test_logs_lab.py::*",
    ),
    "stacks, on real engines": (
        "actions/test_stacks.py::test_a_stack_is_deployed_changed_pruned_and_removed",
        "actions/test_stacks.py::test_the_network_of_a_stack_comes_and_goes_with_it",
    ),
    "secrets / configs, networks and volumes, on real engines": (
        "actions/test_objects.py::test_objects_come_and_go_and_what_is_used_stays",
    ),
    "several clusters": (
        "ui/test_clusters.py::test_all_clusters_are_shown_at_once_and_none_waits_for_a_slow_one",
        "ui/test_switching.py::test_switching_takes_one_key_and_what_is_done_is_done_to_the_cluster_shown",
    ),
    "SSH": ("link/test_ssh.py::*", "link/test_lab.py::*"),
    "read-only": (f"{LAB_KEYS}::test_a_read_only_console_has_no_key_that_changes_anything",),
    "multi-select": (f"{LAB_KEYS}::test_marked_nodes_are_taken_together_also_those_the_filter_hides",),
    "quorum warnings": (
        "ui/test_console.py::test_a_demotion_that_costs_the_last_tolerance_wants_the_name_typed",
        "runbooks/test_quorum_of_plans.py::test_no_plan_without_a_rule_takes_a_cluster_from_quorum_to_none",
    ),
}
"""What the others can do."""

NONE_OF_THEM = {
    "quorum arithmetic before an action": (
        "runbooks/test_quorum_of_plans.py::test_before_and_after_are_shown_as_they_will_be",
    ),
    "drain with preview and a wait until tasks settle": (
        "ui/test_console.py::test_a_drain_is_planned_confirmed_and_proved",
        "model/test_impact_random.py::*",
    ),
    "a cluster-wide rebalance plan": ("actions/test_rebalance.py::test_tasks_come_back_to_a_node_that_was_drained",),
    "stale or duplicate node detection": ("ui/test_view_rows.py::test_a_node_that_joined_again_marks_its_old_entry",),
    "SSH to every node, also when the Swarm API is down": (
        "test_opening.py::test_a_node_is_reached_at_its_own_address_with_user_and_port_of_the_cluster",
    ),
    "an audit trail with the equivalent docker command and a dry run": (
        "actions/test_script.py::test_a_dry_run_changes_nothing_and_a_plan_can_be_read_by_a_program",
        "actions/test_services.py::test_the_script_of_each_action_does_what_the_run_does",
        "runbooks/test_journal.py::test_a_run_is_read_back_as_it_was_written",
    ),
}
"""What none of them can do, and we can."""

MISTAKES = {
    "the target re-read from the cursor after the dialog, on nodes": (
        "ui/test_console.py::test_the_action_stays_with_its_node_when_rows_move",
        "actions/test_confirmation.py::test_rows_that_move_never_bring_another_node_under_a_yes",
    ),
    "remove that always forces": (
        "actions/test_roles.py::test_an_entry_that_is_down_is_known_by_its_id_and_a_live_one_is_forced_out",
    ),
    "an empty table when the connection died, on nodes": (
        "actions/test_failover.py::test_old_data_is_dimmed_and_tells_its_age_until_somebody_answers",
        "faults/test_lies.py::test_the_screen_keeps_what_it_knew",
    ),
}
"""What the others do wrong."""

WISHES = {
    "many clusters in one table": ("ui/test_clusters.py::test_what_matters_most_fits_every_screen",),
    "rebindable keys": (
        "ui/test_views.py::test_the_same_key_does_in_each_view_what_that_view_says",
        "ui/test_clusters.py::test_keys_can_be_remapped",
    ),
    "safer deletes": (f"{LAB_KEYS}::test_a_node_that_is_to_go_is_named_by_typing_it",),
    "a colour that says production": ("ui/snapshots/test_themes.py::test_production_in_every_theme",),
    "starting while a cluster is unreachable": (
        "ui/test_console.py::test_nobody_answers_the_console_opens_and_says_what_it_tried",
        "actions/test_failover.py::test_it_opens_when_nobody_answers_and_recovers_by_itself",
    ),
    "never the wrong cluster shown or used": (
        "ui/test_switching.py::test_another_swarm_under_the_same_name_is_refused",
        "ui/test_clusters.py::test_two_names_of_one_swarm_are_told",
    ),
}
"""What their users ask for."""

PAINS = {
    "two quick promotions leave one unreachable (swarmkit#2196)": (
        "actions/test_roles.py::test_promoted_nodes_are_waited_for_one_by_one_and_demoted_ones_too",
    ),
    "ghost running tasks (moby#37320)": (
        "ui/test_view_rows.py::test_what_runs_on_a_node_that_is_down_or_gone_only_seems_to_run",
        "ui/test_views.py::test_faults_only_history_and_what_a_lost_node_leaves",
    ),
    "no rebalancing (moby#24103)": (
        "actions/test_rebalance.py::test_on_the_simulator_a_node_that_was_away_gets_tasks_again",
    ),
    "drain does not wait for replacements (docker/docs#9917)": (
        "actions/test_availability.py::test_drain_is_done_when_the_node_is_empty_and_the_replacements_run",
    ),
}
"""What Swarm itself does to people."""

ALL = {**ROWS, **NONE_OF_THEM, **MISTAKES, **WISHES, **PAINS}
