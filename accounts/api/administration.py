"""Roles, users and companies: API calls for supers only."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.people import companies, roles
from config.access import get_visible
from config.api.pagination import answer, keyset_page, offset_page, page_of
from config.api.permissions import IsSuper
from config.api.schema import OFFSET_PARAMETERS, PAGE_PARAMETERS
from config.api.serializers import read

from ..models import Company, Role, User
from . import serializers


class SuperView(APIView):
    permission_classes = [IsSuper]


class Roles(SuperView):
    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(serializers.RoleSerializer))
    def get(self, request):
        """Every role, by name."""
        page = offset_page(Role.objects.prefetch_related("permissions").order_by("name"), request=request)
        return answer(page, serializers.RoleSerializer)

    @extend_schema(request=serializers.RoleInput, responses={201: serializers.RoleSerializer})
    def post(self, request):
        """Make a role."""
        role = roles.save_role(by=request.user, **read(serializers.RoleInput, request))
        return Response(serializers.RoleSerializer(role).data, status=201)


class OneRole(SuperView):
    @extend_schema(responses=serializers.RoleSerializer)
    def get(self, request, role_id):
        """One role."""
        return Response(serializers.RoleSerializer(get_visible(role_id, Role.objects.all())).data)

    @extend_schema(request=serializers.RoleInput, responses=serializers.RoleSerializer)
    def put(self, request, role_id):
        """Rename a role and set its permissions."""
        role = roles.save_role(by=request.user, role_id=role_id, **read(serializers.RoleInput, request))
        return Response(serializers.RoleSerializer(role).data)

    @extend_schema(responses={204: None})
    def delete(self, request, role_id):
        """Delete a role. A built-in role cannot be deleted (409)."""
        roles.delete_role(by=request.user, role_id=role_id)
        return Response(status=204)


class Permissions(SuperView):
    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(serializers.PermissionSerializer))
    def get(self, request):
        """The permissions a role may carry."""
        return answer(offset_page(roles.permissions(), request=request), serializers.PermissionSerializer)


class Users(SuperView):
    @extend_schema(
        parameters=[OpenApiParameter("q", OpenApiTypes.STR), *PAGE_PARAMETERS],
        responses=page_of(serializers.AdminUserSerializer),
    )
    def get(self, request):
        """Users, newest first; `q` searches addresses and names."""
        users = User.objects.with_company().prefetch_related("groups")
        if text := request.GET.get("q", "").replace("\x00", "").strip()[:200]:
            users = users.matching(text)
        return answer(keyset_page(users, request=request, time_field="created_at"), serializers.AdminUserSerializer)


class OneUser(SuperView):
    @extend_schema(request=serializers.UserChangeInput, responses=serializers.AdminUserSerializer)
    def patch(self, request, user_id):
        """Set roles, company, and whether the user may sign in."""
        user = roles.change_user(by=request.user, user_id=user_id, **read(serializers.UserChangeInput, request))
        return Response(serializers.AdminUserSerializer(user).data)


class Companies(SuperView):
    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(serializers.CompanySerializer))
    def get(self, request):
        """Every company, by name."""
        return answer(offset_page(Company.objects.order_by("name"), request=request), serializers.CompanySerializer)

    @extend_schema(request=serializers.CompanyInput, responses={201: serializers.CompanySerializer})
    def post(self, request):
        """Make a company."""
        company = companies.save_company(by=request.user, **read(serializers.CompanyInput, request))
        return Response(serializers.CompanySerializer(company).data, status=201)


class OneCompany(SuperView):
    @extend_schema(request=serializers.CompanyInput, responses=serializers.CompanySerializer)
    def patch(self, request, company_id):
        """Rename a company."""
        facts = read(serializers.CompanyInput, request, partial=True)
        company = companies.save_company(by=request.user, company_id=company_id, **facts)
        return Response(serializers.CompanySerializer(company).data)

    @extend_schema(responses={204: None})
    def delete(self, request, company_id):
        """Delete a company without people and folders."""
        companies.delete_company(by=request.user, company_id=company_id)
        return Response(status=204)
